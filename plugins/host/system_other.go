//go:build !linux

package host

import (
	"errors"
	"os"
	"time"

	"github.com/resnet-run/resnet-run/internal/machine"
)

func changeTime(info os.FileInfo) time.Time { return info.ModTime() }

func executablePath(f *os.File) string { return f.Name() }

// confine sets no limits of the system's. Where memory cannot be watched either, who has set a limit is told.
func confine(_ int, memory int64) error {
	if _, err := machine.Resident(os.Getpid()); err != nil && memory > 0 {
		return errors.New("RESNET_RUN_PLUGIN_MEMORY: the memory of plugins is watched on Linux and Windows alone; here it has no effect")
	}
	return nil
}

func awaitExit(int) bool { return false }
