// Command vedette-manager receives, analyses and answers the events of a fleet of agents, and watches its own host.
package main

import (
	"context"

	"github.com/vedette-hids/vedette/agent/host"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/program"
	"github.com/vedette-hids/vedette/internal/supervise"
	"github.com/vedette-hids/vedette/manager"
)

func main() {
	program.Main(program.Program{
		Name:    "vedette-manager",
		LogName: "ossec-analysisd",
		Daemons: []string{"ossec-execd", "ossec-analysisd", "ossec-logcollector", "ossec-remoted", "ossec-syscheckd", "ossec-monitord", "ossec-maild", "ossec-csyslogd"},
		Check:   func(f program.Flags) config.Problems { return manager.Check(f.Root, f.Config) },
		Start:   start,
	})
}

// service is a running manager with the host component of its own machine.
type service struct {
	app  *manager.App
	host *host.Host
	run  program.Running
}

func start(ctx context.Context, run program.Running) (program.Service, error) {
	s := &service{run: run}
	var err error
	// Commands come only from events, and those only after Run.
	s.app, err = manager.New(ctx, manager.Options{Root: run.Flags.Root, Config: run.Flags.Config, Log: run.Log,
		Local: func(c event.Command) { s.host.Command(c) }})
	if err != nil {
		return nil, err
	}
	s.host, err = host.New(host.Options{Root: run.Flags.Root, Config: s.app.Config(), Internal: s.app.Internal(), Log: run.Log,
		Sink: s.app.Local(), Restart: run.Restart, Journal: s.app.Responses()})
	if err != nil {
		s.app.Close()
		return nil, err
	}
	return s, nil
}

// Run works until ctx ends. The host component ends before the manager, so that its last events are analysed.
func (s *service) Run(ctx context.Context) error {
	hostDone := make(chan struct{})
	app, stopApp := context.WithCancel(context.WithoutCancel(ctx))
	defer stopApp()
	go func() {
		defer close(hostDone)
		supervise.Run(ctx, s.run.Log.Prog("ossec-analysisd"), supervise.Part{Name: "host component", Run: s.host.Run})
		stopApp()
	}()
	err := s.app.Run(app)
	<-hostDone
	return err
}

// Reload brings a changed configuration into use.
func (s *service) Reload(ctx context.Context) error { return s.app.Reload(ctx) }
