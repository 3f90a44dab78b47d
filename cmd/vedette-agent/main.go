// Command vedette-agent watches one host: it collects logs, checks files, looks for rootkits, carries out responses and forwards events
// to its manager.
package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/vedette-hids/vedette/agent/forward"
	"github.com/vedette-hids/vedette/agent/host"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/program"
	"github.com/vedette-hids/vedette/internal/supervise"
	"github.com/vedette-hids/vedette/keys"
)

func main() {
	program.Main(program.Program{
		Name:    "vedette-agent",
		LogName: "ossec-agentd",
		Daemons: []string{"ossec-execd", "ossec-agentd", "ossec-logcollector", "ossec-syscheckd"},
		Check: func(f program.Flags) config.Problems {
			_, _, problems := load(f)
			_, ps := forward.LoadKey(f.Root)
			return append(problems, ps...)
		},
		Start: start,
	})
}

func load(f program.Flags) (*config.Config, *config.Options, config.Problems) {
	internal, problems := config.LoadOptions(f.Root)
	cfg, ps := config.Load(f.Root, f.Config)
	problems = append(problems, ps.For(config.AgentPrograms)...)
	if cfg == nil {
		return nil, internal, problems
	}
	if cfg.Client == nil || len(cfg.Client.Servers) == 0 {
		problems = append(problems, config.Problem{Pos: config.Position{File: f.Config}, Code: 4105, Text: "ERROR: No valid server IP found.",
			Hint: "Name the manager in <client><server-ip>."})
	}
	return cfg, internal, problems
}

// agent is a running agent.
type agent struct {
	host     *host.Host
	forward  *forward.Forwarder
	counters *keys.Counters
	run      program.Running
}

func start(_ context.Context, run program.Running) (program.Service, error) {
	f := run.Flags
	cfg, internal, problems := load(f)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, p := range problems.Warnings() {
		if p.Daemons == 0 {
			p.Daemons = config.Agentd
		}
		run.Log.Line(p.LogLine())
	}
	key, problems := forward.LoadKey(f.Root)
	if err := problems.Err(); err != nil {
		for _, p := range problems {
			run.Log.Line(p.LogText("ossec-agentd")) // users' rules know these lines
		}
		return nil, err
	}
	counters, err := keys.OpenCounters(filepath.Join(f.Root, "queue", "rids"), keys.CountersOptions{NoVerify: !internal.Bool("remoted.verify_msg_id")})
	if err != nil {
		return nil, err
	}
	a := &agent{counters: counters, run: run}
	// Commands reach the host component only after it exists; the forwarder delivers none before it runs.
	a.forward, err = forward.New(forward.Options{Root: f.Root, Client: *cfg.Client, Key: key, Counters: counters, Log: run.Log, LocalQueue: true,
		Command: func(_ context.Context, c event.Command) { a.host.Command(c) }})
	if err != nil {
		return nil, errors.Join(err, counters.Close())
	}
	profile := cfg.Client.Profile
	if profile == "" {
		profile = "-"
	}
	who := config.AgentIdentity{Name: key.Name, Profile: profile, OS: forward.System()}
	for _, text := range config.LoadAgentConf(f.Root, who, cfg, internal).LogAll() {
		run.Log.Line(text)
	}
	var managers []string
	for _, s := range cfg.Client.Servers {
		managers = append(managers, s.Host)
	}
	a.host, err = host.New(host.Options{Root: f.Root, Config: cfg, Internal: internal, Log: run.Log, Sink: a.forward, Managers: managers, Restart: run.Restart})
	if err != nil {
		return nil, errors.Join(err, counters.Close())
	}
	return a, nil
}

// Run works until ctx ends. The host component ends first, so that what it still says is forwarded or spooled.
func (a *agent) Run(ctx context.Context) error {
	log := a.run.Log.Prog("ossec-agentd")
	network, stopNetwork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNetwork()
	done := make(chan struct{})
	go func() {
		defer close(done)
		supervise.Run(network, log, supervise.Part{Name: "forwarder", Run: a.forward.Run})
	}()
	err := a.host.Run(ctx)
	stopNetwork()
	<-done
	return errors.Join(err, a.counters.Close())
}

// Reload is a restart for an agent: its parts begin anew with what the files say.
func (a *agent) Reload(context.Context) error {
	a.host.Command(event.Command{Restart: true})
	return nil
}
