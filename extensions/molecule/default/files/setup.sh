# Run in the machine at its bootstrap: lays a package in it, for the task to build.
mkdir -p /srv/hello
printf '#!/bin/sh\necho "doing $1"\n' > /srv/hello/bbot-build
chmod 755 /srv/hello/bbot-build
