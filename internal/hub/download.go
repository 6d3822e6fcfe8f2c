package hub

import (
	"cmp"
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
	maxFile   = 64 << 30 // bytes of weights: far above any network's
	maxBeside = 16 << 20 // of what lies beside them
	stall     = time.Minute
)

// check holds a file against its tag: SHA-256, or git's sum of a small one. The beginning of a tag of 64 digits is enough.
func check(path, tag string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var sum hash.Hash = sha256.New()
	if len(tag) == 2*sha1.Size {
		st, err := file.Stat()
		if err != nil {
			return err
		}
		sum = sha1.New()
		fmt.Fprintf(sum, "blob %d\x00", st.Size())
	}
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); !strings.HasPrefix(got, tag) {
		return fmt.Errorf("the checksum is wrong: want %s, got %s", tag, got)
	}
	return nil
}

// download gets a file of at most so many bytes to path, whole and with the right checksum or not at all. size is 0 when it is not known.
func (h *Hub) download(ctx context.Context, address, path, name string, size, most int64, tag string) (err error) {
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
	if size > most {
		return fmt.Errorf("want at most %d bytes, got %d", most, size)
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
	w := &meter{w: file, tell: func(done int64) {
		idle.Reset(stall)
		if h.Progress != nil {
			h.Progress(name, done, size)
		}
	}}
	n, err := io.Copy(w, io.LimitReader(res.Body, cmp.Or(size, most)+1))
	if cause := context.Cause(ctx); cause != nil { // which also tells why nothing came
		err = cause
	}
	switch {
	case err != nil:
	case size > 0 && n != size:
		err = fmt.Errorf("want %d bytes, got %d or more", size, n)
	case n > most:
		err = fmt.Errorf("want at most %d bytes, got more", most)
	}
	if err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := check(file.Name(), tag); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// meter tells how much was written.
type meter struct {
	w    io.Writer
	done int64
	tell func(done int64)
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
