package rules

import (
	"fmt"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	const head = `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match></rule>` + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"clean":        {`<rule id="101" level="4"><if_sid>100</if_sid><match>bravo</match></rule>`, ""},
		"shadowed":     {`<rule id="101" level="9"><if_sid>100</if_sid><description>all</description></rule><rule id="102" level="4"><if_sid>100</if_sid><match>b</match></rule>`, "never reached: its sibling 101"},
		"same decoder": {`<rule id="101" level="9"><decoded_as>kv</decoded_as></rule><rule id="102" level="4"><decoded_as>kv</decoded_as><match>b</match></rule>`, "never reached: its sibling 101"},
		"level 0":      {`<rule id="101" level="0" frequency="2"><if_matched_sid>100</if_matched_sid></rule>`, "level 0 never matches"},
		"child name":   {`<rule id="101" level="3"><decoded_as>kv-f</decoded_as></rule>`, "ever decoded as 'kv-f'"},
		"frequency":    {`<rule id="101" level="3" frequency="128"><if_matched_sid>100</if_matched_sid></rule>`, "more than the 128 events"},
		"starved":      {`<rule id="103" level="4"><match>c</match><group>zz,</group></rule><rule id="101" level="3" frequency="2"><if_matched_sid>103</if_matched_sid></rule><rule id="102" level="5" frequency="2"><if_matched_group>zz</if_matched_group></rule>`, "if_matched_group rule 102 does not count it"},
		"negation":     {`<rule id="101" level="3"><match>!x</match></rule>`, "no negation here"},
		"separator":    {`<rule id="101" level="3"><if_sid>100,</if_sid><match>x</match></rule>`, "ends in a separator"},
		"list":         {`<rule id="101" level="3"><list field="user">nosuch</list></rule>`, "not declared"},
		"geo":          {`<rule id="101" level="3"><srcgeoip>DE</srcgeoip></rule>`, "no GeoIP data"},
		"different":    {`<rule id="101" level="5" frequency="2"><if_matched_sid>100</if_matched_sid><different_srcip/></rule>`, "has no effect"},
		"cancel":       {`<rule id="101" level="5" frequency="2"><if_matched_sid>100</if_matched_sid><not_same_user/></rule>`, "it has no effect"},
		"addresses":    {`<rule id="101" level="3"><srcip>10.0.0.0/8</srcip><srcip>!10.1.1.1</srcip></rule>`, "accepted because the last one is negated"},
		"field":        {`<rule id="101" level="3"><field name="srcip">x</field></rule>`, "standard field"},
		"no search":    {`<rule id="101" level="3"><if_matched_sid>999</if_matched_sid><if_sid>100</if_sid></rule>`, "not loaded before"},
		"noalert leaf": {`<rule id="101" level="3" noalert="1"><match>x</match></rule>`, "does nothing"},
		"moved":        {`<rule id="101" level="3"><match>x</match></rule><rule id="101" level="5" overwrite="yes"><if_sid>100</if_sid><match>y</match></rule>`, "overwrite does not move"},
		"not sorted":   {`<rule id="101" level="3"><match>x</match></rule><rule id="101" level="5" overwrite="yes"><match>y</match></rule>`, "in the place of level 3"},
		"both forms":   {`<rule id="101" level="3"><match>x</match><match_pcre2>y</match_pcre2></rule>`, "<match_pcre2> is ignored, because there is a <match>"},
		"noalert 0":    {`<rule id="101" level="3" noalert="0"><match>x</match></rule><rule id="102" level="3"><if_sid>101</if_sid><match>y</match></rule>`, "noalert is on whatever its value"},
		"long id":      {`<rule id="1234567" level="3"><match>x</match></rule>`, "this is rule 123456"},
		"level 99":     {`<rule id="101" level="99"><match>x</match></rule>`, "Level 99 is level 0"},
		"level 16":     {`<rule id="101" level="16"><match>x</match></rule>`, "Levels are 0 to 15"},
		"accuracy":     {`<rule id="101" level="0" accuracy="0"><match>x</match></rule>`, "becomes level 99"},
		"root":         {`<rule id="1" level="0" noalert="1" overwrite="yes"><category>ids</category></rule><rule id="101" level="1"><category>ids</category><match>x</match></rule>`, "A root is not overwritten"},
		"groups":       {`<rule id="101" level="3"><match>x</match><group>a</group><group>b,</group></rule>`, "no comma between the groups 'g,a' and 'b,'"},
		"parent twice": {`<rule id="101" level="3"><if_sid>100, 100</if_sid><match>x</match></rule>`, "Rule 100 is named twice"},
		"two parents":  {`<rule id="101" level="3"><if_sid>100</if_sid><if_group>g</if_group><match>x</match></rule>`, "<if_group> has no effect beside <if_sid>"},
		"if_level":     {`<rule id="101" level="3"><if_level>3</if_level><match>x</match></rule>`, "takes level 0 for 99"},
		"two searches": {`<rule id="101" level="3"><if_matched_sid>100</if_matched_sid><if_matched_group>g</if_matched_group></rule>`, "what is counted is rule 100"},
		"regex search": {`<rule id="101" level="3"><if_matched_regex>x</if_matched_regex><same_location/></rule>`, "not looked at by <if_matched_regex>"},
		"last counts":  {`<rule id="101" level="3"><match>x</match><time>1:00 - 2:00</time><time>3:00 - 4:00</time></rule>`, "Of several <time> only the last"},
		"noon":         {`<rule id="101" level="3"><match>x</match><time>12 am - 6 am</time></rule>`, "12 am is noon"},
		"port":         {`<rule id="101" level="3"><dstport>22</dstport></rule>`, "22 is also found in 2200"},
		"empty alt":    {`<rule id="101" level="3"><match>a|b|</match></rule>`, "matches every text"},
		"joined":       {`<rule id="101" level="3"><match>a|</match><match>b</match></rule>`, ""},
		"middle":       {`<rule id="101" level="3"><match>a$b|c</match></rule>`, "with one in its middle never matches"},
		"escape":       {`<rule id="101" level="3"><match>a\.b</match></rule>`, "There are no escapes here"},
		"windows path": {`<rule id="101" level="3"><match>C:\Windows\System32</match></rule>`, ""},
		"wildcard":     {`<rule id="101" level="3"><match>a.*b</match></rule>`, "There are no wildcards here"},
		"regex dot":    {`<rule id="101" level="3"><regex>a.*b</regex></rule>`, "literal dot"},
		"regex class":  {`<rule id="101" level="3"><regex>a[0-9]b</regex></rule>`, "no character classes"},
		"regex group":  {`<rule id="101" level="3"><regex>(?:ab)+</regex></rule>`, "'?' is an ordinary character"},
		"regex plus":   {`<rule id="101" level="3"><regex>(ab)+</regex></rule>`, "A group cannot be repeated"},
		"regex clean":  {`<rule id="101" level="3"><regex>^\.*(\d+) [x] \[a-b\]</regex></rule>`, ""},
		"wrong type":   {`<rule id="101" level="3"><decoded_as>fw</decoded_as></rule>`, "events decoded as 'fw' are firewall, but the rule stands below a root for syslog"},
		"two decoders": {`<rule id="101" level="3"><decoded_as>kv</decoded_as></rule><rule id="102" level="3"><if_sid>101</if_sid><decoded_as>dyn</decoded_as></rule>`, "it asks for the decoder 'dyn', and rule 101 above it for 'kv'"},
		"no fts":       {`<rule id="101" level="3"><decoded_as>kv</decoded_as><if_fts/></rule>`, "'kv' has none"},
		"fts":          {`<rule id="101" level="3"><decoded_as>ftsd</decoded_as><if_fts/></rule>`, ""},
		"no field":     {`<rule id="101" level="3"><decoded_as>kv</decoded_as><field name="color">x</field></rule>`, "'kv' has no field 'color'"},
		"any field":    {`<rule id="101" level="3"><field name="nosuch">x</field></rule>`, "no decoder has a field 'nosuch'"},
		"fine field":   {`<rule id="101" level="3"><decoded_as>dyn</decoded_as><field name="COLOR">x</field></rule>`, ""},
		"infos":        {`<rule id="101" level="3"><match>x</match>` + strings.Repeat("<cve>1</cve>", 10) + `</rule>`, "Only 9 <info>"},
		"positions":    {`<rule id="102" level="3"><match>y</match></rule><rule id="101" level="3"><if_sid>100, 102</if_sid><match>x</match><group>zz,</group></rule><rule id="103" level="5"><if_matched_group>zz</if_matched_group></rule>`, "several positions"},
	} {
		t.Run(name, func(t *testing.T) {
			var all strings.Builder
			for _, p := range loadText(t, head+c.text+`</group>`).Lint() {
				fmt.Fprintln(&all, p)
				if !p.Warning || p.Pos.File != "rules/t.xml" || p.Pos.Line < 1 {
					t.Errorf("%+v: must be a warning with its place", p)
				}
			}
			if got := all.String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestLintOfTheReferenceRulesets(t *testing.T) {
	for _, name := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		problems := loadCorpus(t, name, daemonOptions()).Lint()
		if len(problems) == 0 || len(problems) > 400 {
			t.Errorf("%s: %d remarks", name, len(problems))
		}
	}
}
