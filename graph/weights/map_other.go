//go:build !unix

package weights

import (
	"fmt"
	"io"
	"os"
)

// mapFile reads the whole file, where there is no mapping that all such systems share.
func mapFile(f *os.File, size int64) (data []byte, unmap func() error, err error) {
	data = make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, nil, fmt.Errorf("read %q: %w", f.Name(), err)
	}
	return data, func() error { return nil }, nil
}
