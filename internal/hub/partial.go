package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What came of a file before its download was interrupted lies beside it under its name and this ending, as huggingface_hub leaves it too, until somebody
// goes on. While it grows it has a name that belongs to one process.
const unfinished = ".incomplete"

// quiet is for how long nobody must have written to what is left of a download, so that it is nobody's any more.
var quiet = 10 * time.Second

// partial is the beginning of a file.
type partial struct {
	*os.File
	path string // of the whole file
	have int64  // bytes
}

// begin takes over what is left of an interrupted download, or begins with nothing.
func begin(path string) (*partial, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	for _, old := range abandoned(path) {
		own := fmt.Sprintf("%s.%x%s", path, rand.Uint64(), unfinished)
		if os.Rename(old, own) != nil { // only one process can
			continue
		}
		file, err := os.OpenFile(own, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			return nil, err
		}
		st, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return &partial{File: file, path: path, have: st.Size()}, nil
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+unfinished)
	return &partial{File: file, path: path}, err
}

// abandoned are what other downloads of a file have left, the one under the common name first.
func abandoned(path string) (list []string) {
	names := []string{path + unfinished}
	if entries, err := os.ReadDir(filepath.Dir(path)); err == nil { // a pattern would read the path as one
		for _, e := range entries {
			if name := e.Name(); strings.HasPrefix(name, filepath.Base(path)+".") && strings.HasSuffix(name, unfinished) {
				names = append(names, filepath.Join(filepath.Dir(path), name))
			}
		}
	}
	for _, name := range names {
		if st, err := os.Lstat(name); err == nil && st.Mode().IsRegular() && st.Size() > 0 && time.Since(st.ModTime()) > quiet {
			list = append(list, name)
		}
	}
	return list
}

// ask makes a request one for what is missing.
func (p *partial) ask(req *http.Request) {
	if p.have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.have))
	}
}

// answered makes the file ready for the body of an answer: nothing is kept where the server sends all. size is what the whole file has
// as far as the answer tells, 0 when it does not.
func (p *partial) answered(res *http.Response) (size int64, err error) {
	if res.StatusCode == http.StatusPartialContent && p.have > 0 {
		if from := fmt.Sprintf("bytes %d-", p.have); !strings.HasPrefix(res.Header.Get("Content-Range"), from) {
			return 0, fmt.Errorf("%s answers with another part: want %s..., got %.60q", res.Request.URL.Host, from, res.Header.Get("Content-Range"))
		}
		if res.ContentLength > 0 {
			size = p.have + res.ContentLength
		}
		return size, nil
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answers %s", res.Request.URL.Host, res.Status)
	}
	return max(res.ContentLength, 0), p.empty()
}

// empty begins anew.
func (p *partial) empty() error {
	p.have = 0
	_, err := p.Seek(0, 0)
	return errors.Join(err, p.Truncate(0))
}

// leave closes the file, if it is open, and keeps what it has for the next who asks.
func (p *partial) leave() error {
	_ = p.Close() // its contents count, and they are checked in the end
	kept := p.path + unfinished
	st, err := os.Stat(p.Name())
	if err != nil {
		return err
	}
	if old, err := os.Stat(kept); st.Size() == 0 || err == nil && old.Size() >= st.Size() {
		return os.Remove(p.Name())
	}
	return os.Rename(p.Name(), kept)
}

// discard removes what cannot be right.
func (p *partial) discard() error {
	_ = p.Close()
	return os.Remove(p.Name())
}
