package baseline

import "hash/maphash"

// stored remembers roughly which paths of a location are in the database while its first baseline comes in: nearly every path is new
// then, and a look into the database for each would take most of the time. It may take a path for stored that is not, never the other way
// round (a Bloom filter; of a million paths it is wrong about 0.2 %).
type stored struct {
	seed maphash.Seed
	bits []uint64
}

const (
	storedBits   = 1 << 24 // 2 MiB
	storedProbes = 4
	maxStored    = 8 // locations at a time; further ones look into the database
)

func newStored() *stored {
	return &stored{seed: maphash.MakeSeed(), bits: make([]uint64, storedBits/64)}
}

// probe gives the place of the i-th bit of a hash.
func probe(h uint64, i int) uint64 { return (h + uint64(i)*(h>>32|1)) % storedBits }

func (s *stored) add(path string) {
	h := maphash.String(s.seed, path)
	for i := range storedProbes {
		p := probe(h, i)
		s.bits[p/64] |= 1 << (p % 64)
	}
}

// maybe is false for a path that was not added.
func (s *stored) maybe(path string) bool {
	h := maphash.String(s.seed, path)
	for i := range storedProbes {
		if p := probe(h, i); s.bits[p/64]>>(p%64)&1 == 0 {
			return false
		}
	}
	return true
}

// remember begins to remember what is stored of a location that has nothing in the database yet.
func (s *Store) remember(l *location) {
	if l.stored == nil && s.storing < maxStored {
		l.stored = newStored()
		s.storing++
	}
}

// forget ends that.
func (s *Store) forget(l *location) {
	if l.stored != nil {
		l.stored = nil
		s.storing--
	}
}
