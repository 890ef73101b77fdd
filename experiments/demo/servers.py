"""llama-server as a process: started, asked, its memory sampled while it answers."""
import http.client, json, os, signal, subprocess, sys, threading, time


class Server:
    """One llama-server. Its clock runs only while it answers, so that servers that take turns can be compared."""

    def __init__(self, name, command, port, log):
        self.name, self.command, self.port, self.log = name, command, port, log
        self.samples, self.clock = [], 0.0  # [seconds of work, MiB]
        self.process = subprocess.Popen(command, stdout=open(log, "w"), stderr=subprocess.STDOUT)

    def wait(self, seconds=120):
        until = time.time() + seconds
        while time.time() < until:
            if self.process.poll() is not None:
                sys.exit(f"demo: {self.name}: must start, stopped with code {self.process.returncode}; see {self.log}")
            try:
                if self.call("GET", "/health")[0] == 200:
                    self.samples.append([0.0, self.memory()])
                    return
            except OSError:
                pass
            time.sleep(0.2)
        sys.exit(f"demo: {self.name}: must answer within {seconds} s, does not; see {self.log}")

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def memory(self):
        """Anonymous resident memory, MiB: cache, buffers, heap; not the model's file, which the page cache holds."""
        with open(f"/proc/{self.process.pid}/status") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    def chat(self, messages, begin, most):
        """The answer, which begins as the client says, and what the server says of the time it took."""
        out = {}

        def ask():
            out["status"], out["content"] = self.call("POST", "/v1/chat/completions", {
                "messages": messages + [{"role": "assistant", "content": begin}], "max_tokens": most, "temperature": 0})

        client, began = threading.Thread(target=ask), time.time()
        client.start()
        while client.is_alive():
            client.join(0.1)
            self.samples.append([self.clock + time.time() - began, self.memory()])
        self.clock += time.time() - began
        if out.get("status") != 200:
            sys.exit(f"demo: {self.name}: must answer with status 200, answered {out.get('status')}: {out.get('content', b'')[:300]!r}")
        return json.loads(out["content"])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def request_records(path):
    """namm's own records of requests: the last one of a number counts."""
    out = {}
    if os.path.exists(path):
        with open(path) as lines:
            for line in lines:
                record = json.loads(line)
                out[record["request"]] = record
    return [out[number] for number in sorted(out)]
