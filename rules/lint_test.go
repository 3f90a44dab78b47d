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
