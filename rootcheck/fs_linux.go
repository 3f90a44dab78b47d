package rootcheck

import "golang.org/x/sys/unix"

// Kinds of file systems by their magic numbers.
var (
	// countsLinks are the file systems whose directories have two links and one more for each subdirectory.
	countsLinks = map[int64]bool{
		unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true, unix.RAMFS_MAGIC: true,
		unix.REISERFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true, 0x3153464a: true, // jfs
	}
	network = map[int64]bool{unix.NFS_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true}
	// invented are file systems without content of their own.
	invented = map[int64]bool{
		unix.PROC_SUPER_MAGIC: true, unix.SYSFS_MAGIC: true, unix.CGROUP_SUPER_MAGIC: true, unix.CGROUP2_SUPER_MAGIC: true,
		unix.DEBUGFS_MAGIC: true, unix.TRACEFS_MAGIC: true, unix.SECURITYFS_MAGIC: true, unix.BPF_FS_MAGIC: true,
		unix.EFIVARFS_MAGIC: true, unix.AUTOFS_SUPER_MAGIC: true, unix.SELINUX_MAGIC: true, unix.PSTOREFS_MAGIC: true,
		unix.BINFMTFS_MAGIC: true, unix.NSFS_MAGIC: true,
	}
)

// fsKind tells what is to be known of the file system at a path.
type fsKind struct{ countsLinks, network, invented bool }

func kindOfFS(path string) fsKind {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return fsKind{}
	}
	magic := int64(st.Type) & 0xffffffff //nolint:unconvert // 32 bits wide on some machines
	return fsKind{countsLinks[magic], network[magic], invented[magic]}
}
