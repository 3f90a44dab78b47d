package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/verify"
	"github.com/vedette-hids/vedette/internal/control"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys/agentcontrol"
	"github.com/vedette-hids/vedette/keys/manageagents"
	"github.com/vedette-hids/vedette/manager"
	"github.com/vedette-hids/vedette/manager/report"
	"github.com/vedette-hids/vedette/manager/stats"
)

// tools are the OSSEC tools that this program plays when it is called by their names. Each has OSSEC's own flag grammar.
var tools = map[string]func(c call) int{
	"manage_agents": manageAgents,
	"ossec-control": ossecControl,
	"agent_control": func(c call) int {
		return agentcontrol.Run(agentcontrol.Env{Root: c.root, Args: c.args, Stdout: c.stdout, Stderr: c.stderr})
	},
	"list_agents": func(c call) int {
		return agentcontrol.RunListAgents(agentcontrol.Env{Root: c.root, Args: c.args, Stdout: c.stdout, Stderr: c.stderr})
	},
	"verify-agent-conf":  func(c call) int { return verify.Run(c.root, c.args, c.stdout, c.stderr) },
	"ossec-reportd":      func(c call) int { return report.Run(c.args, c.stdin, c.stdout, c.stderr) },
	"clear_stats":        func(c call) int { return stats.RunClear(c.root, c.args, c.stdout, c.stderr) },
	"ossec-analysisd":    daemonPart,
	"ossec-remoted":      daemonPart,
	"ossec-maild":        daemonPart,
	"ossec-csyslogd":     daemonPart,
	"ossec-dbd":          daemonPart,
	"ossec-monitord":     daemonPart,
	"ossec-agentlessd":   daemonPart,
	"ossec-agentd":       daemonPart,
	"ossec-execd":        daemonPart,
	"ossec-logcollector": daemonPart,
	"ossec-syscheckd":    daemonPart,
}

func manageAgents(c call) int {
	return manageagents.Run(manageagents.Env{
		Root: c.root, Server: control.RoleOf(c.root) != "agent", Args: c.args, Prog: c.name, Getenv: os.Getenv,
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr,
	})
}

func ossecControl(c call) int {
	if len(c.args) > 0 && c.args[0] == "restart" {
		// What is blocked stays blocked meanwhile. When nothing runs there is nobody to tell.
		ctx, cancel := context.WithTimeout(c.ctx, time.Second)
		activeresponse.Control(ctx, activeresponse.ControlPath(c.root), activeresponse.ControlRequest{Do: "keep"}) //nolint:errcheck // see above
		cancel()
	}
	return control.Run(c.ctx, control.Env{Root: c.root, Self: c.self, Type: control.RoleOf(c.root), Stdout: c.stdout, Stderr: c.stderr}, c.args)
}

// daemonPart answers for the daemons that are parts of one program here: -V and -t work as they did, starting is ossec-control's.
func daemonPart(c call) int {
	conf := ""
	test := false
	for i := 0; i < len(c.args); i++ {
		switch c.args[i] {
		case "-V":
			fmt.Fprintf(c.stderr, "\n%s %s - Vedette %s\n\n", version.Product, version.Compat, version.Version)
			return 0
		case "-t":
			test = true
		case "-d", "-f":
		case "-c", "-D", "-u", "-g":
			if i+1 == len(c.args) {
				fmt.Fprintf(c.stderr, "%s: option %s needs a value\n", c.name, c.args[i])
				return 1
			}
			switch c.args[i] {
			case "-c":
				conf = c.args[i+1]
			case "-D":
				c.root = c.args[i+1]
			}
			i++
		case "-h":
			fmt.Fprintf(c.stderr, "%s: -t tests the configuration, -V prints the version; ossec-control starts and stops.\n", c.name)
			return 0
		default:
			fmt.Fprintf(c.stderr, "%s: unknown option %s\n", c.name, c.args[i])
			return 1
		}
	}
	if !test {
		fmt.Fprintf(c.stderr, "%s is a part of one program here. Use: ossec-control start\n", c.name)
		return 1
	}
	return testPart(c, conf)
}

// testPart checks what one daemon would read.
func testPart(c call, conf string) int {
	if conf == "" {
		conf = c.root + "/etc/ossec.conf"
	}
	var problems config.Problems
	if c.name == "ossec-analysisd" {
		problems = manager.Check(c.root, conf)
	} else {
		cfg, ps := config.Load(c.root, conf)
		problems = config.ForDaemon(c.name, cfg, ps)
	}
	log := olog.New("", c.stderr)
	for _, text := range problems.LogTexts(c.name, conf) {
		log.Line(text)
	}
	if problems.Err() != nil {
		return 1
	}
	return 0
}

func isResponder(name string) bool {
	_, ok := responders.Lookup(name)
	return ok
}

func respond(c call) int {
	return responders.Main(c.self, c.args, responders.NewEnv(c.root, nil))
}
