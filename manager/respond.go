package manager

import (
	"time"

	"github.com/vedette-hids/vedette/event"
)

// respond decides on the active responses of an alert and sends them on their way. It runs in the pipeline's ordered stage and never
// waits: the executor and the fleet have queues of their own.
func (a *App) respond(al *event.Alert) {
	for _, d := range a.decider.Decide(al) {
		switch {
		case d.Local:
			if a.o.Local != nil {
				r := d.Response
				a.o.Local(event.Command{Respond: &r})
			}
		case d.All:
			a.fleet.RespondAll(&d.Response)
		default:
			id := d.AgentID
			if id == "" {
				id = a.idOf(d.Agent)
			}
			if err := a.fleet.Respond(id, &d.Response); err != nil {
				a.remote.Every("respond "+id, time.Minute).Warn("response '%s' not sent to agent '%s': %v", d.Response.Name, id, err)
			}
		}
	}
}

// idOf finds the id of the agent that an event came from; events of the local queue carry only its name.
func (a *App) idOf(agent *event.Agent) string {
	if agent == nil {
		return ""
	}
	if agent.ID != "" {
		return agent.ID
	}
	if k := a.keys.ByName(agent.Name); k != nil {
		return k.ID
	}
	return agent.Name
}
