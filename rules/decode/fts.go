package decode

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// The key fields that a decoder can select, as bits of event.Event.FTSFields.
const (
	FTSName uint16 = 1 << iota
	FTSDstUser
	FTSSrcIP
	FTSDstIP
	FTSLocation
	FTSID
	FTSData
	FTSSystemName
)

// ftsWords are the words that an fts text is searched for, in the order that decides (spec section 10).
var ftsWords = []struct {
	word string
	bit  uint16
}{
	{"user", FTSDstUser}, {"srcip", FTSSrcIP}, {"dstip", FTSDstIP}, {"id", FTSID}, {"location", FTSLocation}, {"data", FTSData},
	{"system_name", FTSSystemName}, {"name", FTSName},
}

// ftsFieldOf returns the key field that a piece of an fts text selects, 0 for none. As in OSSEC "srcuser" selects the destination user.
func ftsFieldOf(piece string) uint16 {
	for _, w := range ftsWords {
		if strings.Contains(piece, w.word) {
			return w.bit
		}
	}
	return 0
}

// maxFTSKey is the length in bytes at which keys are cut.
const maxFTSKey = 255

// FTSKey returns the first-time-seen key of a decoded event: nine texts joined by blanks (spec section 10). ok is false when its decoder
// selects no key fields. A line break in the location becomes a blank, so that a key is always one line.
func FTSKey(ev *event.Event) (key string, ok bool) {
	if !ev.FTS {
		return "", false
	}
	var b strings.Builder
	b.Grow(maxFTSKey + 1)
	b.WriteString(ev.Decoder)
	for _, part := range [...]struct {
		bit   uint16
		field event.Field
	}{
		{FTSID, event.ID}, {FTSDstUser, event.DstUser}, {0, event.SrcUser}, {FTSSrcIP, event.SrcIP}, {FTSDstIP, event.DstIP},
		{FTSData, event.Data}, {FTSSystemName, event.SystemName},
	} {
		b.WriteByte(' ')
		if ev.FTSFields&part.bit != 0 {
			b.WriteString(ev.Fields.Value(part.field))
		}
	}
	b.WriteByte(' ')
	if ev.FTSFields&FTSLocation != 0 {
		b.WriteString(ev.Location)
	}
	key = b.String()
	if len(key) > maxFTSKey {
		key = key[:maxFTSKey]
	}
	if strings.ContainsAny(key, "\r\n") {
		key = strings.NewReplacer("\r", " ", "\n", " ").Replace(key)
	}
	return key, true
}

// FTSOptions adjust an FTSStore. The zero value has OSSEC's shipped settings.
type FTSOptions struct {
	ListSize int // analysisd.fts_list_size: recent keys of ids decoders that are compared; 0 = 32
	MinSize  int // analysisd.fts_min_size_for_str: length that a common beginning must exceed; 0 = 14
	MaxKeys  int // keys kept; the oldest are forgotten first; 0 = 200000
	// Append is called with each new key, to write it to queue/fts/fts-queue. nil keeps keys in memory only.
	Append func(key string)
}

// FTSStore remembers which keys were seen. It is part of the ordered stage: one goroutine at a time.
type FTSStore struct {
	opts   FTSOptions
	seen   map[string]struct{}
	order  []string // ring of all keys, oldest at head once it is full
	head   int
	recent []string // keys of ids decoders, newest last
}

// NewFTSStore makes an empty store.
func NewFTSStore(opts FTSOptions) *FTSStore {
	if opts.ListSize <= 0 {
		opts.ListSize = 32
	}
	if opts.MinSize <= 0 {
		opts.MinSize = 14
	}
	if opts.MaxKeys <= 0 {
		opts.MaxKeys = 200000
	}
	return &FTSStore{opts: opts, seen: make(map[string]struct{})}
}

// Load adds the keys of a fts-queue file, one per line. It does not call Append.
func (s *FTSStore) Load(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			s.add(line[:min(len(line), maxFTSKey)])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading first-time-seen keys: %w", err)
		}
	}
}

// Len returns the number of keys.
func (s *FTSStore) Len() int { return len(s.seen) }

// Keys yields all keys, oldest first, for writing a shorter file.
func (s *FTSStore) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range s.order {
			if !yield(s.order[(s.head+i)%len(s.order)]) {
				return
			}
		}
	}
}

// First answers if_fts for an event and records its key: a rootcheck event by its own mark, an event whose decoder selects no key fields
// never, any other when its key is new. Events of ids decoders are also "not new" when their key only varies a beginning that was seen
// often (spec section 10).
func (s *FTSStore) First(ev *event.Event) bool {
	if ev.FirstSeen {
		return true
	}
	key, ok := FTSKey(ev)
	if !ok {
		return false
	}
	if _, old := s.seen[key]; old {
		return false
	}
	if ev.Type == event.TypeIDS {
		key = s.shorten(key)
		if len(s.recent) == s.opts.ListSize {
			s.recent = append(s.recent[:0], s.recent[1:]...)
		}
		s.recent = append(s.recent, key)
		if s.has(key) {
			return false
		}
	}
	s.add(key)
	if s.opts.Append != nil {
		s.opts.Append(key)
	}
	return true
}

func (s *FTSStore) has(key string) bool {
	_, ok := s.seen[key]
	return ok
}

// similarKeys is the number of recent keys with a common beginning from which a key is shortened.
const similarKeys = 3

// shorten cuts a key that resembles several recent ones.
func (s *FTSStore) shorten(key string) string {
	count := 0
	for i := len(s.recent) - 1; i >= 0; i-- {
		if commonPrefix(s.recent[i], key) <= s.opts.MinSize {
			continue
		}
		if count++; count == similarKeys {
			return key[:s.opts.MinSize]
		}
	}
	return key
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// add stores a key, forgetting the oldest when there are too many.
func (s *FTSStore) add(key string) {
	if s.has(key) {
		return
	}
	s.seen[key] = struct{}{}
	if len(s.order) < s.opts.MaxKeys {
		s.order = append(s.order, key)
		return
	}
	delete(s.seen, s.order[s.head])
	s.order[s.head] = key
	s.head = (s.head + 1) % len(s.order)
}
