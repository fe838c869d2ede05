# Serves every service of moto on a free port of loopback, and writes the port into the file `port`.
import logging
import os
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)
dispatch = DomainDispatcherApplication(create_backend_app)
one_at_a_time = threading.Lock()


def application(environ, start_response):
    # moto looks at a condition and writes in two steps; DynamoDB does both in one.
    if "DynamoDB" in environ.get("HTTP_X_AMZ_TARGET", ""):
        with one_at_a_time:
            return dispatch(environ, start_response)
    return dispatch(environ, start_response)


server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
os.environ["MOTO_PORT"] = str(server.server_port)
with open("port.new", "w") as file:
    file.write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
