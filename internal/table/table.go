// Package table prints aligned tables on terminals and into pipes.
package table

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Colour is how a cell looks on a terminal; it never changes its text.
type Colour string

// The colours. Plain cells have none.
const (
	Plain  Colour = ""
	Faint  Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	bold   Colour = "1"
)

// Cell is one text of a table.
type Cell struct {
	Text   string
	Colour Colour
}

// Text is a cell without colour.
func Text(s string) Cell { return Cell{Text: s} }

// Table collects rows under a heading.
type Table struct {
	heading []string
	right   map[int]bool
	rows    [][]Cell
}

// New begins a table. A heading that begins with ">" stands over numbers, which are aligned to the right.
func New(heading ...string) *Table {
	t := &Table{right: map[int]bool{}}
	for i, h := range heading {
		text, right := strings.CutPrefix(h, ">")
		t.heading = append(t.heading, text)
		t.right[i] = right
	}
	return t
}

// Row adds a row of texts.
func (t *Table) Row(texts ...string) {
	cells := make([]Cell, len(texts))
	for i, s := range texts {
		cells[i] = Text(s)
	}
	t.Cells(cells...)
}

// Cells adds a row.
func (t *Table) Cells(cells ...Cell) {
	for i := range cells {
		cells[i].Text = Printable(cells[i].Text)
	}
	t.rows = append(t.rows, cells)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write prints the table, with colours when asked for. Columns are two blanks apart and the last one ends with its text.
func (t *Table) Write(w io.Writer, colours bool) error {
	head := make([]Cell, len(t.heading))
	for i, h := range t.heading {
		head[i] = Cell{h, bold}
	}
	widths := make([]int, len(head))
	for _, row := range append([][]Cell{head}, t.rows...) {
		for i, c := range row {
			if i < len(widths) {
				widths[i] = max(widths[i], utf8.RuneCountInString(c.Text))
			}
		}
	}
	out := bufio.NewWriter(w)
	for _, row := range append([][]Cell{head}, t.rows...) {
		for i, c := range row {
			pad := 0
			if i < len(widths) {
				pad = widths[i] - utf8.RuneCountInString(c.Text)
			}
			if t.right[i] {
				out.WriteString(strings.Repeat(" ", pad))
			}
			out.WriteString(Paint(c, colours))
			if i == len(row)-1 {
				break
			}
			if !t.right[i] {
				out.WriteString(strings.Repeat(" ", pad))
			}
			out.WriteString("  ")
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// Paint gives the text of a cell, coloured when asked for.
func Paint(c Cell, colours bool) string {
	if !colours || c.Colour == Plain || c.Text == "" {
		return c.Text
	}
	return "\x1b[" + string(c.Colour) + "m" + c.Text + "\x1b[0m"
}

// Printable replaces what would control a terminal by "?": much of what is shown was sent by strangers.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '?'
		}
		return r
	}, s)
}
