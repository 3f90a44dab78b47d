package decode

import (
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// standardNames are the names of an order that stand for a standard field (spec section 7).
var standardNames = map[string]event.Field{
	"dstuser": event.DstUser, "user": event.DstUser, "srcuser": event.SrcUser,
	"srcip": event.SrcIP, "dstip": event.DstIP, "srcport": event.SrcPort, "dstport": event.DstPort,
	"protocol": event.Protocol, "action": event.Action, "id": event.ID, "url": event.URL, "status": event.Status,
	"data": event.Data, "extra_data": event.Data, "system_name": event.SystemName,
}

// fieldLabels are the names under which the test tool prints standard fields.
var fieldLabels = [event.NumFields]string{
	event.SrcIP: "srcip", event.DstIP: "dstip", event.SrcPort: "srcport", event.DstPort: "dstport", event.Protocol: "proto",
	event.Action: "action", event.SrcUser: "srcuser", event.DstUser: "dstuser", event.ID: "id", event.URL: "url", event.Status: "status",
	event.Data: "extra_data", event.SystemName: "system_name", event.Filename: "filename", event.Cmd: "command",
}

// FieldLabel returns the name under which the test tool prints a standard field.
func FieldLabel(f event.Field) string {
	if f >= event.NumFields {
		return ""
	}
	return fieldLabels[f]
}

// parseOrder reads the text of an order element; ok is false when a name is empty.
func parseOrder(text string) (names []orderName, ok bool) {
	for _, piece := range strings.SplitN(text, ",", maxOrderPieces) {
		piece = strings.TrimLeft(piece, " ")
		piece, _, _ = strings.Cut(piece, " ")
		if piece == "" {
			return nil, false
		}
		names = append(names, orderNameOf(piece))
	}
	return names, true
}

func orderNameOf(name string) orderName {
	if f, ok := standardNames[name]; ok {
		return orderName{field: f}
	}
	if strings.Contains(name, fieldNameOfFilename) {
		return orderName{field: event.Filename}
	}
	return orderName{dynamic: name}
}

// label is the name that the test tool prints.
func (o orderName) label() string {
	if o.dynamic != "" {
		return o.dynamic
	}
	return fieldLabels[o.field]
}

// assign stores captures under the names of the order; a name set before takes the new value.
func assign(ev *event.Event, order []orderName, caps []string) {
	for i, v := range caps {
		if i == len(order) {
			return
		}
		if order[i].dynamic == "" {
			ev.Fields.Set(order[i].field, v)
		} else {
			setDynamic(ev, order[i].dynamic, v)
		}
	}
}

func setDynamic(ev *event.Event, name, value string) {
	for i := range ev.Dynamic {
		if ev.Dynamic[i].Name == name {
			ev.Dynamic[i].Value = value
			return
		}
	}
	ev.Dynamic = append(ev.Dynamic, event.NameValue{Name: name, Value: value})
}
