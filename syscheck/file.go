package syscheck

import (
	"errors"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// kind is what a path is, as far as monitoring cares.
type kind uint8

const (
	kindOther kind = iota // FIFO, socket, device: never opened, never monitored
	kindRegular
	kindSymlink
	kindDir
)

// fileInfo is what lstat or stat says.
type fileInfo struct {
	kind     kind
	size     int64
	mode     uint32 // st_mode
	uid, gid uint32
	stamp    stamp
}

// stamp identifies one state of a content without reading it. Times are nanoseconds since 1970.
type stamp struct {
	size, mtime, ctime int64
	inode, device      uint64
}

// coarse reports whether the file system keeps times in whole seconds only.
func (s stamp) coarse() bool { return s.mtime%1e9 == 0 && s.ctime%1e9 == 0 }

// settled is how old (ns) the last change of a file must be when reading begins, for its stamp to prove afterwards that nothing changed: a
// second change within the granularity of the file system's clock would leave the same times.
const (
	settled       = 50e6
	settledCoarse = 2e9
)

// proves reports whether the stamp taken before reading at time now (ns) can be trusted later.
func (s stamp) proves(now int64) bool {
	need := int64(settled)
	if s.coarse() {
		need = settledCoarse
	}
	return now-max(s.ctime, s.mtime) >= need
}

// entry is the baseline's record of one file.
type entry struct {
	set   sum.Set // properties that were monitored
	link  bool
	racy  bool // the stamp proves nothing: read again
	file  sum.File
	stamp stamp // of the content: for a symbolic link, of its target (zero: no regular file)
}

func (e *entry) text() string { return e.file.Text(e.set) }

// holds reports whether the file as seen by lstat (info) and, for links, by stat of the target, is certainly what the entry says.
func (e *entry) holds(set sum.Set, info, target *fileInfo) bool {
	return !e.racy && e.set == set && e.link == (info.kind == kindSymlink) &&
		e.file.Mode == info.mode && e.file.UID == info.uid && e.file.GID == info.gid && e.file.Size == info.size &&
		e.stamp == contentStamp(info, target)
}

// contentStamp is the stamp of what the hashes are made of.
func contentStamp(info, target *fileInfo) stamp {
	if info.kind == kindSymlink {
		if target == nil || target.kind != kindRegular {
			return stamp{}
		}
		return target.stamp
	}
	return info.stamp
}

// errNotRegular is returned when something else took the place of a regular file.
var errNotRegular = errors.New("not a regular file")
