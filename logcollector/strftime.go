package logcollector

import (
	"strconv"
	"strings"
	"time"
)

// layouts are the conversions of strftime(3) that Go's formatter knows.
var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'B': "January", 'b': "Jan",
	'h': "Jan", 'A': "Monday", 'a': "Mon", 'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'Z': "MST", 'z': "-0700",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'r': "03:04:05 PM",
}

// strftime expands a dated name (spec logcollector.md, section 11). An unknown conversion stays as it is.
func strftime(pattern string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c != '%' || i+1 == len(pattern) {
			b.WriteByte(c)
			continue
		}
		i++
		switch c := pattern[i]; c {
		case '%':
			b.WriteByte('%')
		case 'j':
			b.WriteString(pad3(t.YearDay()))
		case 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'u':
			b.WriteByte(byte('1' + (int(t.Weekday())+6)%7))
		case 'w':
			b.WriteByte(byte('0' + int(t.Weekday())))
		case 'C':
			b.WriteString(strconv.Itoa(t.Year() / 100))
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		default:
			if layout, ok := layouts[c]; ok {
				b.WriteString(t.Format(layout))
			} else {
				b.WriteByte('%')
				b.WriteByte(c)
			}
		}
	}
	if b.Len() > 255 {
		return pattern
	}
	return b.String()
}

func pad3(n int) string { return strconv.Itoa(1000 + n)[1:] }
