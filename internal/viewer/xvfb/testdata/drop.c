// Drops files on a window as a file manager does (XDND, version 5): WINDOW URI-LIST.
#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Display *d;

static Atom atom(const char *name) { return XInternAtom(d, name, False); }

static void tell(Window target, const char *what, long a, long b, long c, long e, long f) {
  XEvent x = {0};
  x.xclient.type = ClientMessage;
  x.xclient.window = target;
  x.xclient.message_type = atom(what);
  x.xclient.format = 32;
  long l[5] = {a, b, c, e, f};
  memcpy(x.xclient.data.l, l, sizeof l);
  XSendEvent(d, target, False, NoEventMask, &x);
  XFlush(d);
}

static void answer(XSelectionRequestEvent *r, const char *uris) {
  XChangeProperty(d, r->requestor, r->property, r->target, 8, PropModeReplace, (const unsigned char *)uris, strlen(uris));
  XEvent x = {0};
  x.xselection.type = SelectionNotify;
  x.xselection.requestor = r->requestor;
  x.xselection.selection = r->selection;
  x.xselection.target = r->target;
  x.xselection.property = r->property;
  x.xselection.time = r->time;
  XSendEvent(d, r->requestor, False, NoEventMask, &x);
  XFlush(d);
}

int main(int argc, char **argv) {
  if (argc != 3 || !(d = XOpenDisplay(NULL))) return 2;
  alarm(20); // a window that does not answer
  Window target = strtoul(argv[1], NULL, 0), me = XCreateSimpleWindow(d, DefaultRootWindow(d), 0, 0, 1, 1, 0, 0, 0);
  XSetSelectionOwner(d, atom("XdndSelection"), me, CurrentTime);
  tell(target, "XdndEnter", me, 5L << 24, atom("text/uri-list"), 0, 0);
  tell(target, "XdndPosition", me, 0, 30L << 16 | 30, CurrentTime, atom("XdndActionCopy"));
  for (;;) {
    XEvent x;
    XNextEvent(d, &x);
    if (x.type == SelectionRequest) answer(&x.xselectionrequest, argv[2]);
    if (x.type != ClientMessage) continue;
    if (x.xclient.message_type == atom("XdndStatus")) {
      if (!(x.xclient.data.l[1] & 1)) return 3; // it takes no drops
      tell(target, "XdndDrop", me, 0, CurrentTime, 0, 0);
    }
    if (x.xclient.message_type == atom("XdndFinished")) return 0;
  }
}
