"""A person at a browser without script: follows an authorization URL through the pages for logging
in and for consent, and ends where the browser would leave the server for the client's callback."""

import http.client
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

MOST_PAGES = 10
GOES = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
# A page under `Referrer-Policy: no-referrer` posts with an opaque origin.
POSTS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Origin": "null",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
}


class Forms(HTMLParser):
    """The forms of a page with their fields, and the words that people read."""

    def __init__(self, page):
        super().__init__()
        self.forms, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.forms.append((attributes, []))
        elif tag in ("input", "button") and self.forms:
            self.forms[-1][1].append(attributes)

    def handle_data(self, data):
        self.words += data.split()

    def with_field(self, name):
        """The form that has this field, if there is one."""
        having = ((form, fields) for form, fields in self.forms if any(field.get("name") == name for field in fields))
        return next(having, None)


class Browser:
    """Cookies, and requests as a browser sends them."""

    def __init__(self):
        self.cookies = {}

    def send(self, method, url, headers, body=None):
        """Answers the status, where it leads to, and the page."""
        parts = urlsplit(url)
        headers = {"Accept": "text/html", **headers}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        try:
            connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
            answer = connection.getresponse()
            for line in answer.msg.get_all("Set-Cookie", []):
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
                if "max-age=0;" in f"{line};".lower():
                    del self.cookies[name]
            return answer.status, answer.headers.get("Location"), answer.read().decode()
        finally:
            connection.close()


def filled(form, fields, person, untick):
    """What a person puts into the form of a page."""
    entries = [(field["name"], field.get("value", "")) for field in fields if field.get("type") == "hidden"]
    if any(field.get("name") == "password" for field in fields):
        return entries + [("username", person[0]), ("password", person[1])]
    for field in fields:
        if field.get("type") == "checkbox" and "checked" in field and field.get("value") not in untick:
            entries.append((field["name"], field["value"]))
    return entries + [("decision", "allow")]


def walk(authorization_url, person, untick=()):
    """Answers the URL of the client's callback that the server sends the browser to, and the pages seen
    on the way. A page for neither login nor consent ends the walk with what it says."""
    browser, seen, at = Browser(), [], authorization_url
    origin = urlsplit(at).netloc
    status, location, page = browser.send("GET", at, GOES)
    for _ in range(MOST_PAGES):
        if status in (302, 303):
            at = urljoin(at, location)
            if urlsplit(at).netloc != origin:
                return at, seen
            status, location, page = browser.send("GET", at, GOES)
            continue
        forms = Forms(page)
        found = forms.with_field("password") or forms.with_field("decision")
        name = "login" if forms.with_field("password") else "consent"
        assert found and status == 200, f"{urlsplit(at).path} answers {status}: {' '.join(forms.words)}"
        assert name not in seen, f"{name} is asked for again: {' '.join(forms.words)}"
        seen.append(name)
        at = urljoin(at, found[0].get("action", ""))
        status, location, page = browser.send("POST", at, POSTS, urlencode(filled(*found, person, untick)))
    raise AssertionError(f"no end after {MOST_PAGES} pages")
