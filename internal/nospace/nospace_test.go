package nospace

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

type coded int

func (c coded) Error() string { return fmt.Sprint("database error ", int(c)) }
func (c coded) Code() int     { return int(c) }

func TestErrorsThatRoomMends(t *testing.T) {
	for want, list := range map[bool][]error{
		true: {syscall.ENOSPC, &fs.PathError{Op: "write", Path: "f", Err: syscall.EDQUOT}, fmt.Errorf("journal: %w", syscall.EROFS),
			errors.Join(errors.New("first"), coded(13)), coded(13 | 1<<8), fmt.Errorf("committing: %w", coded(4874))},
		false: {nil, errors.New("no space left"), syscall.EIO, fs.ErrPermission, coded(10), coded(11)},
	} {
		for _, err := range list {
			if Is(err) != want {
				t.Errorf("%v: %v", err, !want)
			}
		}
	}
}
