package syscheck

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

// names is a sorted list of file names in blocks of text: a directory with a million entries must not cost a million strings.
type names struct {
	blocks []nameBlock
	order  []uint32 // number of the block times blockNames plus number in the block
}

// nameBlock holds the names of up to blockNames files one after the other.
type nameBlock struct {
	text string
	ends []uint32
}

const blockNames = 1024

func (n *names) len() int { return len(n.order) }

// name gives the i-th name in order. It shares memory with its block.
func (n *names) name(i int) string { return n.at(n.order[i]) }

func (n *names) at(id uint32) string {
	b := &n.blocks[id/blockNames]
	i := id % blockNames
	from := uint32(0)
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.text[from:b.ends[i]]
}

// add appends a block of at most blockNames names.
func (n *names) add(list []string) {
	b := nameBlock{text: strings.Join(list, ""), ends: make([]uint32, len(list))}
	end := 0
	first := len(n.blocks) * blockNames
	for i, name := range list {
		end += len(name)
		b.ends[i] = uint32(end)                    //nolint:gosec // at most 1024 times 255
		n.order = append(n.order, uint32(first+i)) //nolint:gosec // four billion files do not fit one directory
	}
	n.blocks = append(n.blocks, b)
}

// maxNames is how many names of a directory are in memory at a time, at most twice while it is read. A larger directory is read several times.
const maxNames = 1 << 17

// readNames lists the names of a directory that come after a name ("" = from the beginning), in order, the first most of them; more says that
// there are others after them.
func readNames(dir, after string, most int) (n names, more bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return names{}, false, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	limit := ""     // names from here on are for later
	for {
		list, err := f.Readdirnames(blockNames)
		list = slices.DeleteFunc(list, func(name string) bool {
			late := limit != "" && name >= limit
			more = more || late
			return late || name <= after
		})
		if len(list) > 0 {
			n.add(list)
		}
		if n.len() >= 2*most {
			n.sort()
			limit, more = strings.Clone(n.name(most)), true
			n.order = n.order[:most]
			n = n.packed()
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return names{}, false, err
		}
	}
	if n.sort(); n.len() > most {
		n.order, more = n.order[:most], true
	}
	return n, more, nil
}

// sort brings the names in order.
func (n *names) sort() {
	slices.SortFunc(n.order, func(x, y uint32) int { return strings.Compare(n.at(x), n.at(y)) })
}

// packed is a copy that has no more than the names in order.
func (n *names) packed() (p names) {
	var list []string
	for i := range n.len() {
		if list = append(list, n.name(i)); len(list) == blockNames {
			p.add(list)
			list = list[:0]
		}
	}
	if len(list) > 0 {
		p.add(list)
	}
	return p
}
