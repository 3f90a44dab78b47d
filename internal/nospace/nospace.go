// Package nospace recognises errors that end when somebody makes room: a full disk, an exhausted quota, a file system that was mounted
// read-only. Work that failed with one of them is worth trying again; no other error promises that.
package nospace

import (
	"errors"
	"syscall"
)

// Codes of SQLite, which tells nothing of the system's error: SQLITE_FULL, and SQLITE_IOERR_SHMSIZE for its shared memory file.
const (
	sqliteFull    = 13
	sqliteSHMSize = 10 | 19<<8
)

// Is reports whether err is one of those.
func Is(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return true
	}
	var db interface {
		error
		Code() int
	}
	return errors.As(err, &db) && (db.Code()&0xff == sqliteFull || db.Code() == sqliteSHMSize)
}
