package tune

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Begun says, in a file beside the outcomes, which proof a process is in: what a driver does to a kernel may end the process, and the
// next start must not run into the same. The process holds the file by a lock that the system takes from it however it ends.
// Outcomes that are kept nowhere have none.
type Begun struct{ file *os.File }

// Together is the name, in place of a kernel's, of the making of several pipelines at once. When a process ends in that nobody knows which of them it was,
// and it is this that is struck off.
const (
	Together       = "pipelines side by side"
	togetherReason = "the program ended while several were made; they are made one by one"
)

// diedReason begins the reason of a kernel that was struck off by [File.Bury].
const diedReason = "the program ended in the middle of its proof"

// begunSize is far above the size of a key.
const begunSize = 4*maxText + 1024

// Open makes the file of a process that is going to prove kernels. Where the system knows no lock that ends with the process,
// nothing is kept.
func (f File) Open() (*Begun, error) {
	if f.Path == "" || !endsWithProcess {
		return &Begun{}, nil
	}
	dir := filepath.Dir(f.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer f.lock()() // nobody may bury the file between its making and its lock
	file, err := os.CreateTemp(dir, filepath.Base(f.Path)+".begun-*")
	if err != nil {
		return nil, err
	}
	if ok, err := hold(file); !ok {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return &Begun{file}, nil
}

// Enter says that the proof of a key begins. It replaces what was said before.
func (b *Begun) Enter(k Key) error {
	if b.file == nil {
		return nil
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := b.file.Truncate(0); err != nil {
		return err
	}
	_, err = b.file.WriteAt(text, 0)
	return err
}

// Leave says that the process is in no proof.
func (b *Begun) Leave() error {
	if b.file == nil {
		return nil
	}
	return b.file.Truncate(0)
}

// Close removes the file.
func (b *Begun) Close() error {
	if b.file == nil {
		return nil
	}
	// Emptied first, in case it cannot be removed. It is closed before that, since some systems remove no open file.
	return errors.Join(b.file.Truncate(0), b.file.Close(), os.Remove(b.file.Name()))
}

// Bury strikes off, in the file of outcomes, the kernels in whose proofs processes died, and returns what it added. One is struck off for all
// shapes, as it is not worth another process to learn whether the shape mattered. Processes that live are left alone.
func (f File) Bury() ([]Proof, error) {
	if f.Path == "" || !endsWithProcess {
		return nil, nil
	}
	list, err := f.begun()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	defer f.lock()()
	if list, err = f.begun(); err != nil { // another process may have buried them
		return nil, err
	}
	var o Outcomes
	var dead []*os.File
	defer func() {
		for _, file := range dead {
			_ = file.Close()
		}
	}()
	for _, path := range list {
		if file := openDead(path); file != nil {
			dead = append(dead, file)
			if p, ok := diedIn(file); ok {
				o.AddProof(p)
			}
		}
	}
	added := o.Proofs()
	if len(added) > 0 {
		if err := f.replace(&o); err != nil {
			return nil, err // the files stay for the next start
		}
	}
	for _, file := range dead {
		_ = file.Close() // before the removal, as some systems remove no open file
		_ = os.Remove(file.Name())
	}
	return added, nil
}

// begun lists the files that processes made. The folder's name may hold characters that mean something in a pattern.
func (f File) begun() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var list []string
	for _, e := range entries {
		if ok, _ := filepath.Match(filepath.Base(f.Path)+".begun-*", e.Name()); ok && e.Type().IsRegular() {
			list = append(list, filepath.Join(filepath.Dir(f.Path), e.Name()))
		}
	}
	return list, err
}

// openDead opens the file of a process that does not live any more; it is nil for others.
func openDead(path string) *os.File {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	if ok, _ := hold(file); !ok {
		_ = file.Close()
		return nil
	}
	return file
}

// diedIn is the outcome of the proof that a file names, if it names one.
func diedIn(file *os.File) (Proof, bool) {
	text, err := io.ReadAll(io.LimitReader(file, begunSize))
	var k Key
	if err != nil || len(text) == 0 || json.Unmarshal(text, &k) != nil {
		return Proof{}, false
	}
	p := Proof{Key: Key{Kernel: k.Kernel, Hash: k.Hash}, Struck: true, Reason: diedReason, When: time.Now().Unix()}
	switch {
	case k.Kernel == Together:
		p.Reason = togetherReason
	case k.Shape != "":
		p.Reason += " on " + k.Shape
	}
	p.Reason = clip(p.Reason)
	return p, p.check() == nil
}
