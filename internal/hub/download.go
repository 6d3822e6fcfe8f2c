package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is git's
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	maxFile = 64 << 30 // bytes: far above any network's
	stall   = time.Minute
)

// sum is a checksum that a file must have.
type sum struct {
	hash.Hash
	want string // hexadecimal digits, the first ones at least
}

// newSum is that of a tag: SHA-256, or of a small file git's, which needs to know the size.
func newSum(tag string, size int64) sum {
	if len(tag) == 64 {
		return sum{sha256.New(), tag}
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", size)
	return sum{h, tag}
}

func (s sum) check() error {
	if got := hex.EncodeToString(s.Sum(nil)); !strings.HasPrefix(got, s.want) {
		return fmt.Errorf("the checksum is wrong: want %s, got %s", s.want, got)
	}
	return nil
}

// download gets a file to path, whole and with the right checksum or not at all. size is 0 when it is not known.
func (h *Hub) download(ctx context.Context, address, path, name string, size int64, s sum) (err error) {
	if size > maxFile {
		return fmt.Errorf("want at most %d bytes, got %d", int64(maxFile), size)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	h.authorize(req)
	res, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read to its end, or is of no use
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", res.Request.URL.Host, res.Status)
	}
	if size == 0 {
		size = max(res.ContentLength, 0)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.incomplete")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	idle := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %v", stall)) })
	defer idle.Stop()
	w := &meter{w: io.MultiWriter(file, s), total: size, tell: func(done int64) {
		idle.Reset(stall)
		if h.Progress != nil {
			h.Progress(name, done, size)
		}
	}}
	n, err := io.Copy(w, io.LimitReader(res.Body, or64(size, maxFile)+1))
	if cause := context.Cause(ctx); cause != nil { // which also tells why nothing came
		err = cause
	}
	switch {
	case err != nil:
	case size > 0 && n != size:
		err = fmt.Errorf("want %d bytes, got %d or more", size, n)
	default:
		err = s.check()
	}
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func or64(n, otherwise int64) int64 {
	if n == 0 {
		return otherwise
	}
	return n
}

// meter tells how much was written.
type meter struct {
	w           io.Writer
	done, total int64
	tell        func(done int64)
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.done += int64(n)
	m.tell(m.done)
	return n, err
}

// replace writes a small file in one step.
func replace(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
