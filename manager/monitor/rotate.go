package monitor

import (
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/manager/alert"
)

// order of the kinds in which a day is closed.
var order = [...]alert.Kind{alert.Archives, alert.ArchivesJSON, alert.Alerts, alert.AlertsJSON, alert.Firewall}

const fileMode = 0o640

// errOpen means that the manager still writes into the files of the day.
var errOpen = errors.New("the day's file is still the current one")

// rotate closes the log files of a day that has ended. It may be called again for the same day.
func (m *Monitor) rotate(day time.Time) error {
	var errs []error
	for _, k := range order {
		if err := m.rotateOne(k, day); err != nil {
			errs = append(errs, fmt.Errorf("closing the day %s: %w", day.Format("2006-01-02"), err))
		}
	}
	return errors.Join(errs...)
}

func (m *Monitor) rotateOne(k alert.Kind, day time.Time) error {
	path := alert.DailyPath(m.o.Root, k, day)
	if !exists(path) {
		if k == alert.Alerts && !exists(path+".gz") {
			m.o.Log.Info("File '%s' not found. MD5 checksum skipped.", m.shown(path))
		}
		return nil
	}
	sums := sums{md5: md5.New(), sha1: sha1.New()}
	if m.o.NoCompress {
		if exists(path + ".sum") {
			return nil
		}
		if err := sums.read(path); err != nil {
			return err
		}
		return m.writeSum(k, day, &sums)
	}
	if err := compress(path, &sums); err != nil {
		return err
	}
	if err := m.writeSum(k, day, &sums); err != nil {
		return err
	}
	return os.Remove(path)
}

// current reports whether the manager still writes into a day's file.
func (m *Monitor) current(k alert.Kind, day time.Time) bool {
	daily, err := os.Stat(alert.DailyPath(m.o.Root, k, day))
	if err != nil {
		return false
	}
	now, err := os.Stat(alert.CurrentPath(m.o.Root, k))
	return err == nil && os.SameFile(daily, now)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// shown is a path as seen from the install root.
func (m *Monitor) shown(path string) string {
	return "/" + filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(path, m.o.Root), string(filepath.Separator)))
}

// sums are the two checksums of a file.
type sums struct{ md5, sha1 hash.Hash }

func (s *sums) Write(p []byte) (int, error) {
	s.md5.Write(p) // hashes do not fail
	s.sha1.Write(p)
	return len(p), nil
}

func (s *sums) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(s, f)
	return err
}

// texts gives both sums in hexadecimal.
func (s *sums) texts() (md5sum, sha1sum string) {
	return hex.EncodeToString(s.md5.Sum(nil)), hex.EncodeToString(s.sha1.Sum(nil))
}

// compress writes path.gz, complete and on disk, and sums up the file on the way.
func compress(path string, s *sums) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".gz.*")
	if err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
			err = fmt.Errorf("compressing %s: %w", path, err)
		}
	}()
	z := gzip.NewWriter(out)
	if _, err := io.Copy(io.MultiWriter(z, s), in); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := out.Chmod(fileMode); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), path+".gz")
}

// writeSum writes the checksum file of a day, chained to that of the day before.
func (m *Monitor) writeSum(k alert.Kind, day time.Time, s *sums) error {
	path := alert.DailyPath(m.o.Root, k, day)
	if m.o.NoSums || exists(path+".sum") {
		return nil
	}
	before := alert.DailyPath(m.o.Root, k, day.AddDate(0, 0, -1)) + ".sum"
	chainMD5, chainSHA1 := "none", "none"
	chain := sums{md5: md5.New(), sha1: sha1.New()}
	switch err := chain.read(before); {
	case err == nil:
		chainMD5, chainSHA1 = chain.texts()
	case errors.Is(err, fs.ErrNotExist):
		m.o.Log.Info("No previous md5 checksum found: '%s'. Starting over.", m.shown(before))
		m.o.Log.Info("No previous sha1 checksum found: '%s'. Starting over.", m.shown(before))
	default:
		return err
	}
	ownMD5, ownSHA1 := s.texts()
	text := fmt.Sprintf("Current checksum:\nMD5  (%[1]s) = %[2]s\nSHA1 (%[1]s) = %[3]s\n\nChained checksum:\nMD5  (%[4]s) = %[5]s\nSHA1 (%[4]s) = %[6]s\n\n",
		m.shown(path), ownMD5, ownSHA1, m.shown(before), chainMD5, chainSHA1)
	return atomicfile.Write(path+".sum", []byte(text), fileMode)
}
