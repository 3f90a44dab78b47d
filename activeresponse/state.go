package activeresponse

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// stateVersion is the format of the state file.
const stateVersion = 1

// maxState bounds what is read at start, in bytes.
const maxState = 16 << 20

// stateFile is what survives a stop or a crash.
type stateFile struct {
	Version   int         `json:"version"`
	BootID    string      `json:"boot_id"` // after a reboot the kernel has forgotten its part of the blocks
	Blocks    []Block     `json:"blocks"`
	Offenders []*offender `json:"offenders"`
}

// save writes blocks and offenders. The caller holds the lock.
func (e *Executor) save() error {
	s := stateFile{Version: stateVersion, BootID: e.o.BootID, Blocks: []Block{}, Offenders: []*offender{}}
	for _, b := range e.blocks {
		s.Blocks = append(s.Blocks, b.Block)
	}
	sortBlocks(s.Blocks)
	for _, k := range e.offenders.byKey {
		s.Offenders = append(s.Offenders, k)
	}
	slices.SortFunc(s.Offenders, func(a, b *offender) int { return cmp.Compare(a.Key, b.Key) })
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(e.o.StateFile, append(data, '\n'), 0o600)
}

// loadState reads the state file; a missing one is empty. A file that another user could have written is not believed, since its
// content becomes arguments of programs run as root.
func loadState(path string) (stateFile, error) {
	var s stateFile
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return s, err
	}
	if why := exposed(st); why != "" {
		return s, fmt.Errorf("%s %s", path, why)
	}
	if st.Size() > maxState {
		return s, fmt.Errorf("%s is too large (%d bytes)", path, st.Size())
	}
	if err := json.NewDecoder(f).Decode(&s); err != nil {
		return stateFile{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Version != stateVersion {
		return stateFile{}, fmt.Errorf("%s has version %d, expected %d", path, s.Version, stateVersion)
	}
	s.Blocks = slices.DeleteFunc(s.Blocks, func(b Block) bool { return b.Key == "" || len(b.Pieces) < 2 || unclean(b.Pieces) != nil })
	s.Offenders = slices.DeleteFunc(s.Offenders, func(o *offender) bool { return o == nil || o.Key == "" || o.Count < 0 })
	return s, nil
}

// bootID names the current boot of the machine, "" where that is unknown.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
