package keys

// windowSize is how many numbers behind the highest one are still told apart. Datagrams that arrive later than that are refused.
const windowSize = 1024

const windowWords = windowSize / 64

// window remembers which numbers of one sender were seen: the highest, and a bit for each of the windowSize numbers up to it.
// The zero value has seen nothing but 0.
type window struct {
	top  uint64
	seen [windowWords]uint64 // bit n%windowSize stands for number n, for n in (top-windowSize, top]
}

// verdict of a window about a number.
type verdict uint8

const (
	fresh verdict = iota
	duplicate
	stale // too far behind to know
)

// check tells whether n may be taken, without taking it.
func (w *window) check(n uint64) verdict {
	switch {
	case n > w.top:
		return fresh
	case w.top-n >= windowSize:
		return stale
	case w.seen[n%windowSize/64]&(1<<(n%64)) != 0 || n == 0:
		return duplicate
	}
	return fresh
}

// take marks n, which check called fresh.
func (w *window) take(n uint64) {
	if n > w.top {
		w.advance(n)
	}
	w.seen[n%windowSize/64] |= 1 << (n % 64)
}

// advance moves the top to n. Numbers jumped over are unseen, unless the jump is wider than the window: the sender then skipped them, and
// nothing of before is to be expected any more.
func (w *window) advance(n uint64) {
	if n-w.top >= windowSize {
		w.restart(n)
		return
	}
	for m := w.top + 1; m <= n; m++ {
		w.seen[m%windowSize/64] &^= 1 << (m % 64)
	}
	w.top = n
}

// restart sets the top to n and counts everything up to it as seen: the state after reading a stored counter.
func (w *window) restart(n uint64) {
	w.top = n
	for i := range w.seen {
		w.seen[i] = ^uint64(0)
	}
}
