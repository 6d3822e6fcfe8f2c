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

// wrongFile is an error of a file whose contents are not what was announced: to go on with it would not help.
type wrongFile struct{ error }

// download gets a file of at most so many bytes to path, whole and with the right checksum or not at all. What an interrupted download left is
// gone on with. size is 0 when it is not known.
func (h *Hub) download(ctx context.Context, address, path, name string, size, most int64, tag string) (err error) {
	p, err := begin(path)
	if err != nil {
		return err
	}
	resumed := p.have > 0
	err = h.whole(ctx, p, address, name, size, most, tag)
	if wrong := (wrongFile{}); resumed && errors.As(err, &wrong) { // what was left may have been of something else
		if err = p.empty(); err == nil {
			err = h.whole(ctx, p, address, name, size, most, tag)
		}
	}
	if wrong := (wrongFile{}); errors.As(err, &wrong) {
		return errors.Join(err, p.discard())
	}
	if err != nil {
		return errors.Join(err, p.leave())
	}
	if err := errors.Join(p.Chmod(0o644), p.Sync(), p.Close()); err != nil {
		return errors.Join(err, p.leave())
	}
	return os.Rename(p.Name(), path)
}

// whole completes a file and checks it.
func (h *Hub) whole(ctx context.Context, p *partial, address, name string, size, most int64, tag string) error {
	if size > 0 && p.have > size {
		if err := p.empty(); err != nil {
			return err
		}
	}
	if size == 0 || p.have < size {
		if err := h.receive(ctx, p, address, name, size, most); err != nil {
			return err
		}
	}
	if err := check(p.Name(), tag); err != nil {
		return wrongFile{err}
	}
	return nil
}

// receive appends what is missing.
func (h *Hub) receive(ctx context.Context, p *partial, address, name string, size, most int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	h.authorize(req)
	p.ask(req)
	res, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()                                                       //nolint:errcheck // it was read to its end, or is of no use
	if res.StatusCode == http.StatusRequestedRangeNotSatisfiable && p.have > 0 { // there is no more than that, or less
		if err := p.empty(); err != nil {
			return err
		}
		return h.receive(ctx, p, address, name, size, most)
	}
	told, err := p.answered(res)
	if err != nil {
		return err
	}
	if size = cmp.Or(size, told); size > most {
		return wrongFile{fmt.Errorf("want at most %d bytes, got %d", most, size)}
	}
	idle := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %v", stall)) })
	defer idle.Stop()
	w := &meter{w: p, done: p.have, tell: func(done int64) {
		idle.Reset(stall)
		if h.Progress != nil {
			h.Progress(name, done, size)
		}
	}}
	n, err := io.Copy(w, io.LimitReader(res.Body, cmp.Or(size, most)-p.have+1))
	n += p.have
	if cause := context.Cause(ctx); cause != nil { // which also tells why nothing came
		return cause
	}
	switch {
	case err != nil:
		return err
	case size > 0 && n > size:
		return wrongFile{fmt.Errorf("want %d bytes, got %d or more", size, n)}
	case size > 0 && n < size:
		return fmt.Errorf("want %d bytes, got %d", size, n)
	case n > most:
		return wrongFile{fmt.Errorf("want at most %d bytes, got more", most)}
	}
	return nil
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
