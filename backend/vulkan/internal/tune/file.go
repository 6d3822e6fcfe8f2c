package tune

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"
)

// File is where the outcomes of a device are kept. The zero value keeps nothing.
//
// Its first line is "resnet-run outcomes VERSION sha256 HEX", the checksum being that of all that follows: a JSON object with
// the identity, the proofs and the races.
type File struct {
	Path string
	ID   Identity
}

const (
	magic     = "resnet-run outcomes 2 sha256 "
	sizeLimit = 32 << 20 // bytes; far above what the limits of a set come to in practice
)

type content struct {
	Identity Identity `json:"identity"`
	Proofs   []Proof  `json:"proofs"`
	Races    []Race   `json:"races"`
}

// Encode writes outcomes as the text of a file.
func Encode(id Identity, o *Outcomes) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(content{id, o.Proofs(), o.Races()}); err != nil {
		return nil, fmt.Errorf("encode outcomes: %w", err)
	}
	sum := sha256.Sum256(body.Bytes())
	return append([]byte(magic+hex.EncodeToString(sum[:])+"\n"), body.Bytes()...), nil
}

// Parse reads the text of a file.
//
// Errors: another version, a checksum that does not fit, another identity than id, values that cannot be.
func Parse(data []byte, id Identity) (*Outcomes, error) {
	if len(data) > sizeLimit {
		return nil, fmt.Errorf("want at most %d bytes", sizeLimit)
	}
	line, body, ok := bytes.Cut(data, []byte("\n"))
	sum, fits := bytes.CutPrefix(line, []byte(magic))
	if !ok || !fits {
		return nil, fmt.Errorf("first line: want %q and a checksum, got %.80q", magic, line)
	}
	if want := sha256.Sum256(body); hex.EncodeToString(want[:]) != string(sum) {
		return nil, errors.New("checksum: the file was changed since it was written")
	}
	var c content
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, err
	}
	if c.Identity != id {
		return nil, fmt.Errorf("identity: want %+v, got %+v", id, c.Identity)
	}
	if len(c.Proofs) > MaxProofs || len(c.Races) > MaxRaces {
		return nil, fmt.Errorf("want at most %d proofs and %d races, got %d and %d", MaxProofs, MaxRaces, len(c.Proofs), len(c.Races))
	}
	o := &Outcomes{}
	for i, p := range c.Proofs {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("proof %d: %w", i, err)
		}
		o.AddProof(p)
	}
	for i, r := range c.Races {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("race %d: %w", i, err)
		}
		o.AddRace(r)
	}
	return o, nil
}

func (p *Proof) check() error {
	for _, s := range []string{p.Kernel, p.Hash, p.Shape, p.Reason} {
		if len(s) > maxText || !utf8.ValidString(s) {
			return fmt.Errorf("want texts of at most %d bytes, got %.60q", maxText, s)
		}
	}
	if p.Kernel == "" || p.Hash == "" {
		return errors.New("want a kernel and its hash")
	}
	if !(p.Error >= 0) || !p.Struck && p.Error > 1 {
		return fmt.Errorf("kernel %s: error: want a fraction, at most 1 for one that is not struck off, got %g", p.Kernel, p.Error)
	}
	if p.Struck == (p.Reason == "") {
		return fmt.Errorf("kernel %s: want a reason when and only when it is struck off", p.Kernel)
	}
	return checkTime(p.When)
}

func (r *Race) check() error {
	if len(r.Timings) == 0 || len(r.Timings) > maxRunner || r.Shape == "" || len(r.Shape) > maxText {
		return fmt.Errorf("shape %.60q: want a shape and 1 to %d timings, got %d", r.Shape, maxRunner, len(r.Timings))
	}
	for _, t := range r.Timings {
		if t.Kernel == "" || t.Hash == "" || len(t.Kernel) > maxText || len(t.Hash) > maxText {
			return errors.New("want a kernel and its hash")
		}
		if !(t.Median > 0 && t.Median <= math.MaxFloat64 && t.Spread >= 0 && t.Spread <= math.MaxFloat64) || t.Samples < 1 {
			return fmt.Errorf("kernel %s: want a time above 0, a spread and a number of samples, got %g, %g and %d", t.Kernel, t.Median, t.Spread, t.Samples)
		}
	}
	return checkTime(r.When)
}

func checkTime(when int64) error {
	if when < 0 || when > 1<<40 {
		return fmt.Errorf("when: want seconds since 1970, got %d", when)
	}
	return nil
}

// Load reads the file; there is nothing in one that does not exist. What is wrong with a file is an error, and the
// outcomes are then empty: it should be told and otherwise ignored.
func (f File) Load() (*Outcomes, error) {
	if f.Path == "" {
		return &Outcomes{}, nil
	}
	o, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		return &Outcomes{}, nil
	}
	if err != nil {
		return &Outcomes{}, fmt.Errorf("read outcomes of kernels %s: %w", f.Path, err)
	}
	return o, nil
}

func (f File) read() (*Outcomes, error) {
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe could hang
		return nil, fmt.Errorf("want a regular file, got %v", info.Mode().Type())
	}
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, sizeLimit+1))
	if err != nil {
		return nil, err
	}
	return Parse(data, f.ID)
}

// Save adds outcomes to those of the file and replaces it in one step. o gets what other processes have added meanwhile.
// A damaged file is replaced.
func (f File) Save(o *Outcomes) error {
	if f.Path == "" {
		return nil
	}
	if err := f.save(o); err != nil {
		return fmt.Errorf("write outcomes of kernels %s: %w", f.Path, err)
	}
	return nil
}

func (f File) save(o *Outcomes) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
		return err
	}
	defer f.lock()()
	return f.replace(o)
}

// replace is save for whoever has the lock, in a folder that exists.
func (f File) replace(o *Outcomes) error {
	dir := filepath.Dir(f.Path)
	if there, err := f.read(); err == nil {
		o.Merge(there)
	}
	data, err := Encode(f.ID, o)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".outcomes-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Sync() // or a crash could leave the new name with no data behind it
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.Path)
}

// A lock is a file that must not exist yet. That works on every system and file system, and a process that died with
// it is not waited for long: all that can happen without the lock is that outcomes are lost, which are then found out again.
const (
	lockPatience = 3 * time.Second
	lockStale    = 10 * time.Second
)

// lock waits until no other process writes, within reason, and returns what ends the lock.
func (f File) lock() (unlock func()) {
	path := f.Path + ".lock"
	for end := time.Now().Add(lockPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			_ = l.Close()
			return func() { _ = os.Remove(path) }
		}
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > lockStale {
			_ = os.Remove(path)
		}
	}
	return func() {}
}
