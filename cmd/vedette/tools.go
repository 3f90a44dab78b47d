package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/agent/forward"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/addto"
	"github.com/vedette-hids/vedette/config/verify"
	"github.com/vedette-hids/vedette/internal/control"
	"github.com/vedette-hids/vedette/internal/daemon"
	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/parts"
	"github.com/vedette-hids/vedette/keys/agentcontrol"
	"github.com/vedette-hids/vedette/keys/enroll/agentauth"
	"github.com/vedette-hids/vedette/keys/enroll/authd"
	"github.com/vedette-hids/vedette/keys/manageagents"
	"github.com/vedette-hids/vedette/manager"
	"github.com/vedette-hids/vedette/manager/logtest"
	"github.com/vedette-hids/vedette/manager/report"
	"github.com/vedette-hids/vedette/manager/stats"
	"github.com/vedette-hids/vedette/pattern/regextool"
	rootcheck "github.com/vedette-hids/vedette/rootcheck/findings/control"
	"github.com/vedette-hids/vedette/rules/list/makelists"
	baseline "github.com/vedette-hids/vedette/syscheck/baseline/control"
)

// tools are the OSSEC tools that this program plays when it is called by their names. Each has OSSEC's own flag grammar.
var tools = map[string]func(c call) int{
	"manage_agents": func(c call) int {
		return manageagents.Run(manageagents.Env{Root: c.root, Server: control.RoleOf(c.root) != "agent", Args: c.args, Prog: c.arg0,
			Getenv: os.Getenv, Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr})
	},
	"ossec-control": ossecControl,
	"ossec-logtest": func(c call) int {
		return logtest.Run(logtest.Env{Root: c.root, Args: c.args, Prog: c.arg0, Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr})
	},
	"agent_control": func(c call) int { return agentcontrol.Run(c.agentEnv()) },
	"list_agents":   func(c call) int { return agentcontrol.RunListAgents(c.agentEnv()) },
	"rootcheck_control": func(c call) int {
		return rootcheck.RunEnv(rootcheck.Env{Root: c.root, Args: c.args, Prog: c.arg0, Stdout: c.stdout, Stderr: c.stderr})
	},
	"syscheck_control":  func(c call) int { return baseline.RunControl(c.root, c.args, c.stdout, c.stderr) },
	"syscheck_update":   func(c call) int { return baseline.RunUpdate(c.root, c.args, c.stdout, c.stderr) },
	"verify-agent-conf": func(c call) int { return verify.Run(c.root, c.args, c.stdout, c.stderr) },
	"ossec-regex":       func(c call) int { return regextool.Run(c.args, c.stdin, c.stdout) },
	"ossec-makelists":   func(c call) int { return makelists.Run(c.root, c.arg0, c.args, c.stdout, c.stderr) },
	"ossec-reportd":     func(c call) int { return report.RunAs(c.arg0, c.args, c.stdin, c.stdout, c.stderr) },
	"clear_stats":       func(c call) int { return stats.RunClear(c.root, c.args, c.stdout, c.stderr) },
	"util.sh": func(c call) int {
		return addto.Run(addto.Env{Root: c.root, Args: c.args, Prog: c.arg0, Stdout: c.stdout})
	},
	"agent-auth": func(c call) int {
		return agentauth.Run(c.ctx, agentauth.Env{Root: c.root, Args: c.args, Prog: c.arg0, Stdout: c.stdout, Stderr: c.stderr})
	},
	"ossec-authd": enrolServer,
}

// onRoot are the tools that answer from the files of an install root. Where those are missing or closed, "there are no agents" would be a wrong answer.
var onRoot = []string{"manage_agents", "agent_control", "list_agents", "syscheck_control", "syscheck_update", "rootcheck_control", "clear_stats"}

// rootNeeded reports an error when the tool needs an install root that is not there. Help, version and another root (-D) do not.
func (c call) rootNeeded() error {
	if !slices.Contains(onRoot, c.name) || slices.ContainsFunc(c.args, func(a string) bool { return strings.HasPrefix(a, "-") && strings.ContainsAny(a, "hVD") }) {
		return nil
	}
	return installed(c.root)
}

func init() {
	for _, name := range parts.Names() {
		tools[name] = daemonPart
	}
}

func (c call) agentEnv() agentcontrol.Env {
	return agentcontrol.Env{Root: c.root, Args: c.args, Prog: c.arg0, Stdout: c.stdout, Stderr: c.stderr}
}

// enrolServer is ossec-authd: in the background unless -f, -t, -h or -V say otherwise, as OSSEC's.
func enrolServer(c call) int {
	background := true
	opts, _, err := getopt.Parse(c.args, authd.Options)
	root := c.root
	for _, o := range opts {
		switch o.Flag {
		case 'V', 'h', 't', 'f':
			background = false
		case 'D':
			root = o.Value
		}
	}
	os.Args[0] = c.self // the child must find its name and root again
	if background && err == nil && !daemon.IsChild() {
		if err := daemon.Background(); err != nil {
			fmt.Fprintln(c.stderr, err)
			return 1
		}
		return 0
	}
	var log *olog.Logger
	if daemon.IsChild() {
		log = olog.New(filepath.Join(root, "logs", "ossec.log"), c.stderr) // until it is ready, the caller's terminal
	}
	in, _ := config.LoadOptions(root) // its problems are those of the manager
	return authd.Run(c.ctx, authd.Env{Root: c.root, Log: log, Args: c.args, Prog: c.arg0, Stderr: c.stderr, Workers: in.Int("authd.worker_pool"),
		MaxConnections: in.Int("authd.max_connections"), Debug: in.Int("authd.debug"),
		Ready: func(net.Addr) {
			if err := daemon.Ready(); err != nil {
				fmt.Fprintf(c.stderr, "ossec-authd: %v\n", err)
			}
		}})
}

// daemonPart answers for a daemon that is a part of one program here.
func daemonPart(c call) int {
	return parts.Run(parts.Env{Name: c.name, Prog: c.arg0, Root: c.root, Args: c.args, Stdout: c.stdout, Stderr: c.stderr,
		Check: func(root, conf string) config.Problems {
			if c.name == "ossec-analysisd" {
				return manager.Check(root, conf)
			}
			cfg, problems := config.Load(root, conf)
			if problems.Err() == nil {
				problems = append(problems, config.CheckNames(c.ctx, cfg, nil)...)
			}
			problems = config.ForDaemon(c.name, cfg, problems)
			if c.name == "ossec-agentd" && problems.Err() == nil {
				_, ps := forward.LoadKey(root)
				problems = append(append(problems, cfg.Client.Times()), ps...)
			}
			return problems
		}})
}

func isResponder(name string) bool {
	_, ok := responders.Lookup(name)
	return ok
}

func respond(c call) int {
	return responders.Main(c.self, c.args, responders.NewEnv(c.root, nil))
}
