//go:build !linux

package host

import (
	"errors"
	"os"
	"time"
)

func changeTime(info os.FileInfo) time.Time { return info.ModTime() }

func executablePath(f *os.File) string { return f.Name() }

// confine, resident and installed need /proc and prlimit: elsewhere memory is not watched, and who has set a limit is told.
func confine(_ int, memory int64) error {
	if memory > 0 {
		return errors.New("RESNET_RUN_PLUGIN_MEMORY: the memory of plugins is watched on Linux alone; here it has no effect")
	}
	return nil
}

func resident(int) int64 { return 0 }

func installed() int64 { return 0 }

func awaitExit(int) bool { return false }
