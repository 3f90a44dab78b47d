package rootcheck

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Limits of databases and policies.
const (
	maxDatabase = 8 << 20 // bytes
	maxLine     = 1023    // bytes
)

// readDatabase reads a database or policy.
func readDatabase(path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDatabase+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxDatabase {
		return "", fmt.Errorf("%s is larger than %d bytes: %w", path, maxDatabase, os.ErrInvalid)
	}
	return string(data), nil
}

// eachLine gives the lines that are neither empty nor comments, without leading blanks, to f. A longer line comes in pieces.
func eachLine(text string, f func(number int, line string)) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		for first := true; first || line != ""; first = false {
			piece := cut(line, maxLine)
			line = line[len(piece):]
			piece = strings.TrimLeft(piece, " \t")
			if piece != "" && piece[0] != '#' {
				f(number, piece)
			}
		}
	}
}
