package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// TestServeAnswersUntilItIsInterrupted: the address is on standard output, requests under way are answered, and the exit code is 0.
func TestServeAnswersUntilItIsInterrupted(t *testing.T) {
	world(t)
	r := &backend.Registry{}
	if err := r.Register(reference.New()); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, write := io.Pipe()
	var errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: write, stderr: &errs, getenv: func(string) string { return "" }, registry: r}
	code := make(chan int, 1)
	go func() {
		code <- a.run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "colour.safetensors", "colour.onnx", "--labels", "labels.txt"})
	}()
	select { // the file of labels is missing
	case got := <-code:
		if got != exitModel || !strings.Contains(errs.String(), "labels.txt") {
			t.Fatalf("got code %d, %s", got, errs.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("a server without a model runs")
	}
	errs.Reset()
	go func() {
		code <- a.run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "colour.safetensors", "overflow.safetensors", "--max-pixels", "1000"})
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(line)
	data, err := os.ReadFile("pictures/red.png")
	if err != nil {
		t.Fatal(err)
	}
	post := func(path string, want int, text string) {
		t.Helper()
		answer, err := http.Post(url+path, "image/png", bytes.NewReader(data)) //nolint:noctx // it is answered
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != want || !strings.Contains(string(body), text) {
			t.Errorf("%s: got %d, %s, %v, want %d and %q", path, answer.StatusCode, body, err, want, text)
		}
	}
	post("/classify", http.StatusOK, `"label":"red"`)
	red := data
	data = modeltest.PNG(t, modeltest.Red, 30, 40)
	post("/classify", http.StatusUnprocessableEntity, "header gives 30x40, the limit is 1000 pixels")
	data = red
	post("/classify?model=overflow", http.StatusUnprocessableEntity, "finite")
	post("/classify?model=other", http.StatusNotFound, "[colour overflow]")
	http.DefaultClient.CloseIdleConnections()
	// A request that is half sent when the server is interrupted is answered too.
	half, rest := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/classify", half)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Expect", "100-continue") // what is written is read when the server has begun to read
	patient := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	answered := make(chan string, 1)
	go func() {
		answer, err := patient.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		patient.CloseIdleConnections()
		answered <- string(body)
	}()
	if _, err := rest.Write(data[:20]); err != nil {
		t.Fatal(err)
	}
	interrupt()
	for { // until it takes no more connections
		if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err != nil {
			break
		} else if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rest.Write(data[20:]); err != nil {
		t.Fatal(err)
	}
	if err := rest.Close(); err != nil {
		t.Fatal(err)
	}
	if text := <-answered; !strings.Contains(text, `"label":"red"`) {
		t.Errorf("the request that was under way got %s", text)
	}
	select {
	case got := <-code:
		if got != exitOK || !strings.Contains(errs.String(), "answering on "+url) || !strings.Contains(errs.String(), "ending") {
			t.Errorf("got code %d, %s", got, errs.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the server does not end")
	}
}

func TestServeRefuses(t *testing.T) {
	world(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // for the port
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	modeltest.WriteModel(t, "other")
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--batch", []string{"--batch", "-1"}},
		{exitUsage, "--queue: want 1 to", []string{"--queue", "0"}},
		{exitUsage, "--max-body", []string{"--max-body", "much"}},
		{exitUsage, "--max-body", []string{"--max-body", "0"}},
		{exitUsage, "--max-pixels: want 1 to", []string{"--max-pixels", "0"}},
		{exitUsage, `two models would be called "colour"`, []string{"colour.safetensors", "other/colour.safetensors"}},
		{exitModel, "none.pth", []string{"none.pth"}},
		{exitRun, "--listen " + taken.Addr().String(), []string{"--listen", taken.Addr().String()}},
		{exitRun, "--listen nonsense", []string{"--listen", "nonsense"}},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, c.args...)
		if c.args[len(c.args)-1] != "none.pth" && !strings.HasSuffix(c.args[0], ".safetensors") {
			args = append(args, "colour.safetensors")
		}
		if o := do(t, args...); o.code != c.code || !strings.Contains(o.stderr, c.want) {
			t.Errorf("%v: got %+v, want code %d and %q", c.args, o, c.code, c.want)
		}
	}
}
