// Package linediff compares two texts by lines and writes the difference in the normal format of diff(1): "2c2", "< old", "---", "> new".
//
// It works in bounded time and memory: texts are trimmed to the part that differs, and where that part needs more than a fixed number of
// edits it is given as one changed block, which is still a correct difference.
package linediff

import (
	"bytes"
	"strconv"
)

// maxEdits bounds the search for a shortest edit script. The search needs memory in the order of its square.
const maxEdits = 1000

// hunk replaces lines [a0,a1) of the old text by lines [b0,b1) of the new one.
type hunk struct{ a0, a1, b0, b1 int }

// Normal gives the difference from old to new in normal format, "" if they are equal. Output ends early, at a line's end, once it
// is longer than limit bytes (0 = no limit).
func Normal(old, new []byte, limit int) string {
	if bytes.Equal(old, new) {
		return ""
	}
	a, b := lines(old), lines(new)
	var w writer
	for _, h := range compare(a, b) {
		w.hunk(a, b, h, limit)
		if limit > 0 && len(w.out) > limit {
			break
		}
	}
	return string(w.out)
}

// lines cuts a text into lines that keep their line feed.
func lines(text []byte) [][]byte {
	out := make([][]byte, 0, bytes.Count(text, []byte{'\n'})+1)
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		out = append(out, text[:n])
		text = text[n:]
	}
	return out
}

// compare finds the hunks that lead from a to b.
func compare(a, b [][]byte) []hunk {
	head := 0
	for head < len(a) && head < len(b) && bytes.Equal(a[head], b[head]) {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && bytes.Equal(a[len(a)-1-tail], b[len(b)-1-tail]) {
		tail++
	}
	x, y := number(a[head:len(a)-tail], b[head:len(b)-tail])
	delA, insB, ok := shortest(x, y)
	if !ok {
		return []hunk{{head, len(a) - tail, head, len(b) - tail}}
	}
	full := marks{del: make([]bool, len(a)), ins: make([]bool, len(b))}
	copy(full.del[head:], delA)
	copy(full.ins[head:], insB)
	slide(full.del, a)
	slide(full.ins, b)
	return full.hunks()
}

// number replaces lines by numbers, equal ones for equal lines.
func number(a, b [][]byte) (x, y []int32) {
	ids := make(map[string]int32, len(a))
	of := func(list [][]byte) []int32 {
		out := make([]int32, len(list))
		for i, l := range list {
			id, ok := ids[string(l)]
			if !ok {
				id = int32(len(ids)) //nolint:gosec // snapshots are capped far below
				ids[string(l)] = id
			}
			out[i] = id
		}
		return out
	}
	return of(a), of(b)
}

// shortest marks the deleted lines of x and the inserted lines of y of a shortest edit script (Myers, "An O(ND) Difference
// Algorithm"). It gives up, with false, beyond maxEdits.
func shortest(x, y []int32) (del, ins []bool, ok bool) {
	n, m := len(x), len(y)
	del, ins = make([]bool, n), make([]bool, m)
	limit := min(n+m, maxEdits)
	v := make([]int32, 2*limit+3)
	mid := limit + 1
	var trace [][]int32
	for d := 0; d <= limit; d++ {
		for k := -d; k <= d; k += 2 {
			var i int
			if k == -d || k != d && v[mid+k-1] < v[mid+k+1] {
				i = int(v[mid+k+1])
			} else {
				i = int(v[mid+k-1]) + 1
			}
			j := i - k
			for i < n && j >= 0 && j < m && x[i] == y[j] {
				i, j = i+1, j+1
			}
			v[mid+k] = int32(i) //nolint:gosec // as above
			if i >= n && j >= m {
				backtrack(trace, d, k, del, ins)
				return del, ins, true
			}
		}
		trace = append(trace, append([]int32(nil), v[mid-d:mid+d+1]...))
	}
	return nil, nil, false
}

// backtrack follows the recorded rows from the end and marks the edits.
func backtrack(trace [][]int32, d, k int, del, ins []bool) {
	at := func(row, k int) int32 { // row has diagonals -row..row
		if k < -row || k > row {
			return -1
		}
		return trace[row][k+row]
	}
	for ; d > 0; d-- {
		var prev int
		if k == -d || k != d && at(d-1, k-1) < at(d-1, k+1) {
			prev = k + 1
		} else {
			prev = k - 1
		}
		pi := int(at(d-1, prev))
		pj := pi - prev
		if prev == k+1 {
			ins[pj] = true
		} else {
			del[pi] = true
		}
		k = prev
	}
}

// slide moves every run of marked lines as far down as equal lines allow, so that an added copy of a repeated block is shown where
// it ends, as diff(1) does.
func slide(marked []bool, text [][]byte) {
	for i := 0; i < len(marked); i++ {
		if !marked[i] {
			continue
		}
		start, end := i, i
		for end < len(marked) && marked[end] {
			end++
		}
		for end < len(marked) && !marked[end] && bytes.Equal(text[start], text[end]) {
			marked[start], marked[end] = false, true
			start++
			for end++; end < len(marked) && marked[end]; {
				end++
			}
		}
		i = end
	}
}

// marks says which lines are deleted and inserted; the others correspond in order.
type marks struct{ del, ins []bool }

func (m *marks) hunks() []hunk {
	var list []hunk
	for i, j := 0, 0; i < len(m.del) || j < len(m.ins); {
		if (i == len(m.del) || !m.del[i]) && (j == len(m.ins) || !m.ins[j]) {
			i, j = i+1, j+1
			continue
		}
		h := hunk{a0: i, b0: j}
		for i < len(m.del) && m.del[i] {
			i++
		}
		for j < len(m.ins) && m.ins[j] {
			j++
		}
		h.a1, h.b1 = i, j
		list = append(list, h)
	}
	return list
}

type writer struct{ out []byte }

func (w *writer) hunk(a, b [][]byte, h hunk, limit int) {
	switch {
	case h.a0 == h.a1:
		w.command(h.a0, h.a0, 'a', h.b0+1, h.b1)
	case h.b0 == h.b1:
		w.command(h.a0+1, h.a1, 'd', h.b0, h.b0)
	default:
		w.command(h.a0+1, h.a1, 'c', h.b0+1, h.b1)
	}
	w.side("< ", a[h.a0:h.a1], limit)
	if h.a0 < h.a1 && h.b0 < h.b1 {
		w.out = append(w.out, "---\n"...)
	}
	w.side("> ", b[h.b0:h.b1], limit)
}

func (w *writer) command(a0, a1 int, op byte, b0, b1 int) {
	w.span(a0, a1)
	w.out = append(w.out, op)
	w.span(b0, b1)
	w.out = append(w.out, '\n')
}

func (w *writer) span(from, to int) {
	w.out = strconv.AppendInt(w.out, int64(from), 10)
	if from < to {
		w.out = append(w.out, ',')
		w.out = strconv.AppendInt(w.out, int64(to), 10)
	}
}

func (w *writer) side(mark string, text [][]byte, limit int) {
	for _, l := range text {
		if limit > 0 && len(w.out) > limit {
			return
		}
		w.out = append(append(w.out, mark...), l...)
		if l[len(l)-1] != '\n' {
			w.out = append(w.out, "\n\\ No newline at end of file\n"...)
		}
	}
}
