package table

import (
	"strings"
	"testing"
)

func TestColumnsAreAligned(t *testing.T) {
	tab := New("ID", ">SIZE", "NAME")
	tab.Row("001", "7", "wéb")
	tab.Row("00002", "1234", "x\x1b[31m\ny")
	var b strings.Builder
	if err := tab.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	want := "ID     SIZE  NAME\n001       7  wéb\n00002  1234  x?[31m?y\n"
	if b.String() != want {
		t.Errorf("%q\nwant %q", b.String(), want)
	}
}

func TestColoursDoNotMoveColumns(t *testing.T) {
	tab := New("A", "B")
	tab.Cells(Cell{"x", Green}, Text("y"))
	var plain, coloured strings.Builder
	tab.Write(&plain, false)   //nolint:errcheck // a builder takes all
	tab.Write(&coloured, true) //nolint:errcheck // a builder takes all
	stripped := strings.NewReplacer("\x1b[1m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(coloured.String())
	if stripped != plain.String() || !strings.Contains(coloured.String(), "\x1b[32mx\x1b[0m  y\n") {
		t.Errorf("%q %q", coloured.String(), plain.String())
	}
}
