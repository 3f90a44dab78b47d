package manageagents

import (
	"errors"
	"strings"

	"github.com/vedette-hids/vedette/keys"
)

const (
	badName     = "\n** Invalid name '%s' given. Name must contain only alphanumeric characters (min=2, max=32).\n\n"
	nameTaken   = "\n** Name '%s' already present. Please enter a new name.\n\n"
	badIP       = "\n** Invalid IP '%s'. Please enter a valid IP Address.\n\n"
	ipTaken     = "\n** Duplicated IP '%s'. Please enter an unique IP Address.\n\n"
	badID       = "\n** Invalid ID '%s' given. ID must be numeric (max 8 digits).\n\n"
	information = "Agent information:\n   ID:%s\n   Name:%s\n   IP Address:%s\n\n"
	addedAs     = "Agent added with ID %s.\n"

	idTaken = "\n** ID '%s' already present. They must be unique.\n\n"
)

// errLeft says that the user typed \q.
var errLeft = errors.New("dialogue left")

// add is the dialogue of a new agent.
func (t *tool) add() {
	t.print("\n- Adding a new agent (use '\\q' to return to the main menu).\n  Please provide the following:\n")
	var e keys.Entry
	for _, step := range []func() (string, error){t.askName, t.askIP, t.askID} {
		value, err := step()
		if err != nil {
			return
		}
		switch {
		case e.Name == "":
			e.Name = value
		case e.IP == "":
			e.IP = value
		default:
			e.ID = value
		}
	}
	t.information(e)
	yes, left := t.confirmed("Confirm adding it?", false)
	if !yes {
		if !left {
			t.print("Not Adding.\n")
		}
		return
	}
	t.store(e)
	t.print(addedAs, e.ID)
	t.respond("Agent added with ID " + e.ID)
}

func (t *tool) information(e keys.Entry) {
	t.print(information, e.ID, e.Name, e.IP)
}

// store makes the key and writes the line.
func (t *tool) store(e keys.Entry) {
	secret, err := keys.NewSecret()
	if err != nil {
		t.refuse(75, "Failed to generate secure random data")
		t.fail("ERROR: " + err.Error())
	}
	e.Key = secret
	t.check(t.edit(func(f *keys.File) error { return f.Add(e) }))
}

// value gives an answer: the variable's the first time, then what is typed. Once a variable's value was refused it is not used again.
func (t *tool) value(question, variable string) (string, error) {
	t.print("%s", question)
	answer := strings.TrimSpace(t.env(variable))
	t.set[variable] = ""
	if answer == "" {
		answer = t.ask()
	}
	if quit(answer) {
		return "", errLeft
	}
	return answer, nil
}

func (t *tool) askName() (string, error) {
	for {
		name, err := t.value("   * A name for the new agent: ", "OSSEC_AGENT_NAME")
		if err != nil || t.nameFits(t.file(), name) {
			return name, err
		}
		t.refuse(76, "Invalid name for agent")
	}
}

func (t *tool) nameFits(f *keys.File, name string) bool {
	if !keys.ValidName(name) {
		t.print(badName, name)
		return false
	}
	if _, taken := f.ByName(name); taken {
		t.print(nameTaken, name)
		return false
	}
	return true
}

func (t *tool) askIP() (string, error) {
	for {
		ip, err := t.value("   * The IP Address of the new agent: ", "OSSEC_AGENT_IP")
		if err != nil {
			return "", err
		}
		if _, err := keys.ParseNetwork(ip); err != nil {
			t.print(badIP, ip)
			t.refuse(77, "Invalid IP for agent")
			continue
		}
		owner, taken := t.file().ByIP(ip)
		if !taken || t.displace(owner) {
			return ip, nil
		}
		t.report("ossec: Duplicated IP " + ip)
		t.print(ipTaken, ip)
		t.refuse(79, "Duplicated IP for agent")
	}
}

func (t *tool) askID() (string, error) {
	proposed := nextID(t.file())
	for {
		id, err := t.value("   * An ID for the new agent["+proposed+"]: ", "OSSEC_AGENT_ID")
		if err != nil {
			return "", err
		}
		if id == "" || id == "0" {
			return proposed, nil
		}
		id = keys.PadID(id)
		switch {
		case !keys.ValidID(id):
			t.print(badID, id)
			t.refuse(78, "Invalid ID '%s' given. ID must be numeric (max 8 digits)", id)
		case t.file().HasID(id):
			t.print(idTaken, id)
			t.refuse(78, "Invalid ID '%s' given. ID is already present", id)
		default:
			return id, nil
		}
	}
}
