package keys

import "fmt"

// Rename gives a live entry another name and returns the entry as it is now. The name is part of what the cipher key is made from, so the
// agent needs the new line too before it can talk again.
func (f *File) Rename(id, name string) (Entry, error) {
	if !ValidName(name) {
		return Entry{}, fmt.Errorf("renaming agent %s: %q is no name: 2 to 128 of A-Z a-z 0-9 - _ and period", id, name)
	}
	if other, ok := f.ByName(name); ok {
		return Entry{}, fmt.Errorf("renaming agent %s: agent %s has the name %q", id, other.ID, name)
	}
	for i, l := range f.lines {
		if e, ok := entryOf(l); ok && !e.Removed && e.ID == id {
			e.Name = name
			f.lines[i] = e.String()
			f.changed = true
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("renaming agent %s: %w", id, ErrNoID)
}
