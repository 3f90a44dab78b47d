package rootcheck

import (
	"context"
	"crypto/md5"  // identity of files in OSSEC's format, no security rests on it
	"crypto/sha1" // likewise
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// maxRead is the size from which a file is neither hashed nor counted, in bytes: about a minute of reading. Every user can make larger files
// without content, under the names that are looked for.
const maxRead = 16 << 30

const noHashes = " MD5=n/a SHA1=n/a SHA256=n/a"

// hashSuffix is the part of a finding that tells the file's content (spec section 11). Symbolic links are followed.
func hashSuffix(ctx context.Context, path string) string {
	f, err := openRegular(path)
	if err != nil {
		return noHashes
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() > maxRead {
		return noHashes
	}
	m, s1, s256 := md5.New(), sha1.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(m, s1, s256), io.LimitReader(&reader{ctx, f}, maxRead+1))
	if err != nil || n > maxRead {
		return noHashes
	}
	return " MD5=" + hex.EncodeToString(m.Sum(nil)) + " SHA1=" + hex.EncodeToString(s1.Sum(nil)) +
		" SHA256=" + hex.EncodeToString(s256.Sum(nil))
}

// openRegular opens a regular file for reading, without waiting for the other end of a named pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, os.ErrInvalid
	}
	return f, nil
}

// reader ends reading when the context does.
type reader struct {
	ctx context.Context
	f   *os.File
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.f.Read(p)
}
