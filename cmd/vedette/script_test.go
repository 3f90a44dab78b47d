package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	defaults "github.com/vedette-hids/vedette/etc"
	"github.com/vedette-hids/vedette/internal/layout"
)

// TestMain lets this test program be the toolbox when a script calls it by the name of a tool.
func TestMain(m *testing.M) {
	commands := map[string]func(){"vedette": main}
	for name := range tools {
		commands[name] = main
	}
	testscript.Main(m, commands)
}

// TestScripts runs testdata/script: terminal sessions in a fresh install, whose bin directory comes first in PATH. $ROOT is the install root.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireUniqueNames:  true,
		RequireExplicitExec: false,
		Setup:               setup,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"age": age, "small": small},
	})
}

// setup installs a manager whose programs are links to this test program.
func setup(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin, root := filepath.Join(env.WorkDir, ".programs"), filepath.Join(env.WorkDir, "ossec")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"vedette", "vedette-manager"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/false\n"), 0o755); err != nil {
			return err
		}
	}
	if err := layout.Install(layout.Options{Root: root, Role: layout.Manager, BinDir: bin, Etc: defaults.Files, Now: time.Unix(1795000000, 0)}); err != nil {
		return err
	}
	vedette := filepath.Join(root, "bin", "vedette")
	if err := errors.Join(os.Remove(vedette), os.Symlink(self, vedette)); err != nil {
		return err
	}
	env.Setenv("ROOT", root)
	env.Setenv("TZ", "UTC")
	env.Setenv("NO_COLOR", "1")
	env.Setenv("PATH", filepath.Join(root, "bin")+string(os.PathListSeparator)+env.Getenv("PATH"))
	return nil
}

// age makes files older: age DURATION FILE...
func age(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: age DURATION FILE...")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	for _, name := range args[1:] {
		at := time.Now().Add(-d)
		ts.Check(os.Chtimes(ts.MkAbs(name), at, at))
	}
	fmt.Fprintf(ts.Stdout(), "%d file(s)\n", len(args)-1)
}

// small replaces the shipped decoders and rules by a few that never change: small
func small(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: small")
	}
	root := ts.Getenv("ROOT")
	for name, to := range map[string]string{"ossec.conf": "etc", "decoder.xml": "etc", "small_rules.xml": "rules"} {
		data, err := os.ReadFile(filepath.Join(testdata, "small", name))
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(root, to, name), data, 0o644))
	}
	ts.Check(os.WriteFile(filepath.Join(root, "rules", "local_rules.xml"), []byte("<group name=\"local,\">\n  <rule id=\"100001\" level=\"0\"><if_sid>5716</if_sid><srcip>192.0.2.99</srcip><description>Tests.</description></rule>\n</group>\n"), 0o644))
}

// testdata is found before scripts change the working directory.
var testdata, _ = filepath.Abs("testdata")
