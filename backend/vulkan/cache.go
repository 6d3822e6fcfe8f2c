package vulkan

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
)

// cacheFile is where the pipelines that a driver compiled are kept. Drivers trust the data that they are given, so
// the file carries a checksum, and the name everything that makes data of one driver useless to another.
//
// Layout: 8 bytes magic with version, SHA-256 of the data, the data as vkGetPipelineCacheData gave it, which begins
// with a header of its own: length, version 1, vendor, device, pipelineCacheUUID (Vulkan specification, "Pipeline
// Cache Header"), little-endian.
type cacheFile struct {
	path string // empty: there is nowhere to keep it
	uuid facts.UUID
	ids  [2]uint32 // vendor, device
}

const (
	cacheMagic = "RRVKPC\x00\x01"
	cacheLimit = 256 << 20 // bytes; far above what a driver makes of our few hundred pipelines
)

// cacheFileFor names the file of a device.
func cacheFileFor(dir string, f *facts.Facts) cacheFile {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return cacheFile{}
		}
		dir = filepath.Join(user, "resnet-run", "vulkan")
	}
	// Some drivers have the same pipelineCacheUUID in every version, so the driver's own UUID is part of the name.
	name := fmt.Sprintf("pipelines-%04x-%04x-%08x-%v-%v.bin", f.VendorID, f.DeviceID, f.Driver.Version, f.DriverUUID, f.PipelineCacheUUID)
	return cacheFile{filepath.Join(dir, name), f.PipelineCacheUUID, [2]uint32{f.VendorID, f.DeviceID}}
}

// read returns the data, nil without an error when there is no file. A damaged file is an error, and should be ignored.
func (c cacheFile) read() ([]byte, error) {
	if c.path == "" {
		return nil, nil
	}
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: want a regular file, got %v", c.path, info.Mode().Type()) // opening a pipe could hang
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(c.path)
	}
	if err != nil {
		return nil, fmt.Errorf("read pipeline cache: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, cacheLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read pipeline cache %s: %w", c.path, err)
	}
	data, err := c.decode(raw)
	if err != nil {
		return nil, fmt.Errorf("read pipeline cache %s: %w", c.path, err)
	}
	return data, nil
}

func (c cacheFile) decode(raw []byte) ([]byte, error) {
	const head = len(cacheMagic) + sha256.Size
	if len(raw) < head || len(raw) > cacheLimit {
		return nil, fmt.Errorf("want %d to %d bytes, got %d", head, cacheLimit, len(raw))
	}
	if string(raw[:len(cacheMagic)]) != cacheMagic {
		return nil, fmt.Errorf("magic: want %q, got %q", cacheMagic, raw[:len(cacheMagic)])
	}
	data := raw[head:]
	if sum := sha256.Sum256(data); !bytes.Equal(sum[:], raw[len(cacheMagic):head]) {
		return nil, errors.New("checksum: the data was changed since it was written")
	}
	if err := c.checkHeader(data); err != nil {
		return nil, err
	}
	return data, nil
}

// checkHeader holds the driver's own header against the device.
func (c cacheFile) checkHeader(data []byte) error {
	if len(data) < 32 {
		return fmt.Errorf("driver's header: want 32 bytes, got %d", len(data))
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }
	if word(0) < 32 || word(1) != 1 || word(2) != c.ids[0] || word(3) != c.ids[1] || !bytes.Equal(data[16:32], c.uuid[:]) {
		return fmt.Errorf("driver's header: want version 1 of device %x and cache UUID %v, got % x", c.ids, c.uuid, data[:32])
	}
	return nil
}

// write replaces the file in one step: whoever reads it sees the old or the new one, whole.
func (c cacheFile) write(data []byte) error {
	if c.path == "" || c.checkHeader(data) != nil {
		return nil // nothing that the next start could use
	}
	dir := filepath.Dir(c.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write pipeline cache: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".pipelines-*")
	if err != nil {
		return fmt.Errorf("write pipeline cache: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	sum := sha256.Sum256(data)
	for _, part := range [][]byte{[]byte(cacheMagic), sum[:], data} {
		if _, err = tmp.Write(part); err != nil {
			break
		}
	}
	if err == nil {
		err = tmp.Sync() // or a crash could leave the new name with no data behind it
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), c.path)
	}
	if err != nil {
		return fmt.Errorf("write pipeline cache %s: %w", c.path, err)
	}
	return nil
}
