package fastest

import (
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
	"strings"
)

// file keeps the rates of some devices. Its name is made of what they are valid for, which is also in it.
type file struct {
	path string // "" for none
	key  []string
}

// content is the file's JSON.
type content struct {
	Devices        []string  `json:"devices"` // what each device is, and the program
	FLOPsPerSecond []float64 `json:"flops_per_second"`
}

const fileLimit = 1 << 16 // bytes

func (c Chooser) file(candidates []Candidate) file {
	var f file
	for _, d := range candidates {
		i := d.Info
		key := fmt.Sprintf("%s|%s|%s|%s|%s|%s|%v", c.Version, i.Backend, i.ID, i.Name, i.Driver, i.API, i.Properties)
		f.key = append(f.key, strings.ToValidUTF8(key, "?")) // as JSON keeps it
	}
	if c.Dir != "" {
		sum := sha256.New()
		for _, k := range f.key {
			fmt.Fprintf(sum, "%d:%s", len(k), k)
		}
		f.path = filepath.Join(c.Dir, "fastest-"+hex.EncodeToString(sum.Sum(nil)[:12])+".json")
	}
	return f
}

// read returns nil without an error when there is no file. What is wrong with a file is an error; it should be ignored.
func (f file) read(n int) ([]Rate, error) {
	if f.path == "" {
		return nil, nil
	}
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() { // opening a pipe could hang
		err = fmt.Errorf("want a regular file, got %v", info.Mode().Type())
	}
	var data []byte
	if err == nil {
		data, err = readLimited(f.path)
	}
	var c content
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err == nil && (len(c.FLOPsPerSecond) != n || fmt.Sprint(c.Devices) != fmt.Sprint(f.key)) {
		err = fmt.Errorf("want the figures of %d devices %q, got %d of %q", n, f.key, len(c.FLOPsPerSecond), c.Devices)
	}
	var rates []Rate
	for _, v := range c.FLOPsPerSecond {
		if err == nil && !(v > 0 && v < math.Inf(1)) {
			err = fmt.Errorf("flops_per_second: want numbers above 0, got %g", v)
		}
		rates = append(rates, Rate{FLOPsPerSecond: v})
	}
	if err != nil {
		return nil, fmt.Errorf("read measured speeds %s: %w", f.path, err)
	}
	return rates, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err == nil && len(data) > fileLimit {
		err = fmt.Errorf("want at most %d bytes", fileLimit)
	}
	return data, err
}

// write replaces the file in one step: whoever reads it sees the old or the new one, whole.
func (f file) write(rates []Rate) error {
	if f.path == "" {
		return nil
	}
	c := content{Devices: f.key}
	for _, r := range rates {
		c.FLOPsPerSecond = append(c.FLOPsPerSecond, r.FLOPsPerSecond)
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = replace(f.path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write measured speeds %s: %w", f.path, err)
	}
	return nil
}

func replace(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".fastest-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
