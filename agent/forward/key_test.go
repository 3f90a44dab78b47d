package forward

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadKey(t *testing.T) {
	for _, c := range []struct {
		name string
		text *string
		want []string
	}{
		{"missing", nil, []string{"ossec-agentd(1402): ERROR: Authentication key file 'PATH' not found.", "ossec-agentd(1751): ERROR: File client.keys not found or empty.",
			"ossec-agentd(4109): ERROR: Unable to start without auth keys. Exiting."}},
		{"empty", new(string), []string{"ossec-agentd(1751): ERROR: File client.keys not found or empty.", "ossec-agentd(4109): ERROR: Unable to start without auth keys. Exiting."}},
		{"damaged", str("001 web any kkk\n002 db\n"), []string{"ossec-agentd(1401): ERROR: Error reading authentication key: '002'.",
			"ossec-agentd(4109): ERROR: Unable to start without auth keys. Exiting."}},
		{"good", str("# mine\n001 web any kkk\n"), nil},
	} {
		root := t.TempDir()
		path := filepath.Join(root, "etc", "client.keys")
		if err := os.Mkdir(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if c.text != nil {
			if err := os.WriteFile(path, []byte(*c.text), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		key, problems := LoadKey(root)
		var got []string
		for _, p := range problems {
			got = append(got, p.LogText("ossec-agentd"))
		}
		if c.name == "missing" {
			c.want[0] = "ossec-agentd(1402): ERROR: Authentication key file '" + path + "' not found."
		}
		if diff := cmp.Diff(c.want, got); diff != "" || (key != nil) != (c.want == nil) || key != nil && key.ID != "001" {
			t.Errorf("%s: key %v\n%s", c.name, key, diff)
		}
	}
}

func str(s string) *string { return &s }
