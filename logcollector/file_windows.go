package logcollector

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// openNoWait shares everything, so that a log can be rotated while it is followed.
func openNoWait(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

func statPath(path string) (status, error) {
	f, err := openNoWait(path)
	if err != nil {
		return status{}, err
	}
	defer f.Close()
	return statFile(f)
}

func statFile(f *os.File) (status, error) {
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &d); err != nil {
		return status{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	s := status{
		id:   identity{uint64(d.VolumeSerialNumber), uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow)},
		size: int64(d.FileSizeHigh)<<32 | int64(d.FileSizeLow), mtime: d.LastWriteTime.Nanoseconds(), links: uint64(d.NumberOfLinks),
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		s.mode = fs.ModeDir
	}
	return s, nil
}

func readPipe(f *os.File, buf []byte) (int, error) {
	n, err := f.Read(buf)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func tooManyOpen(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }
