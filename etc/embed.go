// Package etc holds what gets installed: default configuration, decoders, rules and rootcheck data, embedded into the programs.
//
// The default ossec.conf of the three kinds of install are ossec-server.conf, ossec-agent.conf and ossec-local.conf; they name every file of
// rules/, which a test checks. After adding a rules file run `go generate ./etc`. The rules have tests of their own in tests/, which are not
// embedded.
package etc

import (
	"embed"
	"io/fs"
	"path"
)

//go:generate go test -run TestEveryRulesFileIsIncluded -update .

//go:embed *.conf decoder.xml rules shared
var embedded embed.FS

// Files are the default files: configuration files and decoder.xml at the top, rules files below rules/, what goes to etc/shared below shared/.
var Files fs.FS = embedded

// Rules lists the names of the rules files, in byte order.
func Rules() []string {
	names, _ := fs.Glob(embedded, "rules/*.xml") // the pattern is well-formed
	for i, n := range names {
		names[i] = path.Base(n)
	}
	return names
}
