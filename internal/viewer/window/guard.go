//go:build viewer

package window

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/go-gl/glfw/v3.3/glfw"
)

// guard makes errors of the panics of GLFW's Go package.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(*glfw.Error)
			if !ok {
				panic(p)
			}
			err = e
		}
		if err != nil {
			err = fmt.Errorf("GLFW: %w", err)
		}
	}()
	return f()
}

// guardLogged is guard for what begins: there, GLFW's Go package writes the window system's errors to the standard logger and goes on, until
// something else fails that says less.
func guardLogged(f func() error) error {
	var said bytes.Buffer
	out, flags := log.Writer(), log.Flags()
	log.SetOutput(&said)
	log.SetFlags(0)
	err := guard(f)
	log.SetOutput(out)
	log.SetFlags(flags)
	text := strings.TrimSpace(said.String())
	switch {
	case text == "":
	case err != nil:
		return errors.New("GLFW: " + text)
	default: // it worked all the same
		log.Println("GLFW:", text)
	}
	return err
}
