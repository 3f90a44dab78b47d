package main

import (
	"context"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/internal/control"
)

// keepLimit bounds how long a restart waits for the executor to hear of it.
const keepLimit = 5 * time.Second

// ossecControl starts and stops. Before a restart it asks the executor to leave in force what is blocked; when nothing runs there
// is nobody to ask.
func ossecControl(c call) int {
	if len(c.args) > 0 && c.args[0] == "restart" {
		ctx, cancel := context.WithTimeout(c.ctx, keepLimit)
		activeresponse.Control(ctx, activeresponse.ControlPath(c.root), activeresponse.ControlRequest{Do: "keep"}) //nolint:errcheck // see above
		cancel()
	}
	return control.Run(c.ctx, control.Env{Root: c.root, Self: c.self, Type: control.RoleOf(c.root), Stdout: c.stdout, Stderr: c.stderr}, c.args)
}
