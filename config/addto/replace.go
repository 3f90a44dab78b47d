package addto

import (
	"os"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// replace writes a file anew with the mode and owner that it has.
func replace(path string, data []byte) error {
	if resolved, err := os.Readlink(path); err == nil && resolved != "" {
		// The file that the link leads to is the operator's; replacing the link would part the two.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		if _, err = f.Write(data); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, data, st.Mode().Perm()); err != nil {
		return err
	}
	return keepOwner(path, st)
}
