#!/bin/sh
# Run in the machine at its bootstrap: lays a package in it, for the task to build.
mkdir -p /srv/hello
cat > /srv/hello/bbot-build << 'EOF'
#!/bin/sh
echo "doing $1"
EOF
chmod 755 /srv/hello/bbot-build
