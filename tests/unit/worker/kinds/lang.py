# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds for other languages than C, with package managers of their own."""

from __future__ import annotations

from .table import C_TESTS, Kind, cases, text

RUST = "pub fn answer() -> u32 { 42 }\n"


def rust(body: str) -> str:
    return RUST + f"#[test]\nfn it_is_right() {{ {body} }}\n"


GO = """\
package sample

import ("os"; "syscall"; "testing"; "time")

var _, _, _ = os.Stdout, syscall.Kill, time.Sleep

func TestAnswer(t *testing.T) { %s }
"""

JAVASCRIPT = """\
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
test('the answer', () => { %s });
"""

RUBY = """\
require 'minitest/autorun'
require 'sample'
class TestSample < Minitest::Test
  def test_answer; %s; end
end
"""

LUA = "describe('sample', function() it('answers', function() %s end) end)\n"

# Tests that are run with the build of a distribution's package.
MAKEFILE = "all:\ninstall:\ncheck: tests\n\t./tests\ntests: tests.c\n\tcc -o tests tests.c\n"

DEBIAN = {
    "Makefile": MAKEFILE,
    "notes.txt": "A sample.\n",
    "debian/sample.install": "notes.txt usr/share/sample\n",
    "debian/rules": "#!/usr/bin/make -f\n%:\n\tdh $@\n",
    "debian/source/format": "3.0 (native)\n",
    "debian/changelog": "sample (1.0) unstable; urgency=medium\n\n  * First.\n\n"
    " -- A B <ab@example.org>  Mon, 01 Jan 2024 00:00:00 +0000\n",
    "debian/copyright": "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
    "\nFiles: *\nCopyright: 2024 A B <ab@example.org>\nLicense: Expat\n A text.\n",
    "debian/control": text(
        """
        Source: sample
        Section: misc
        Priority: optional
        Maintainer: A B <ab@example.org>
        Build-Depends: debhelper-compat (= 13)
        Standards-Version: 4.6.2

        Package: sample
        Architecture: all
        Depends: ${misc:Depends}
        Description: small package for tests
         It has a text, and nothing else, so that it is small. What it is for is to be
         built and looked at.
        """
    ),
}

SPEC = text(
    """
    Name:           sample
    Version:        1.0
    Release:        1
    Summary:        Notes, and nothing else
    License:        MIT
    URL:            https://example.org/
    Source0:        https://example.org/sample-1.0.tar.gz
    BuildArch:      noarch

    %description
    It has a text, and nothing else, so that it is small.

    %prep
    %setup -q

    %build
    make

    %check
    make check

    %install
    install -D -m 644 Makefile %{buildroot}/usr/share/sample/Makefile

    %files
    %doc notes.txt
    /usr/share/sample

    %changelog
    * Mon Jan 01 2024 A B <ab@example.org> - 1.0-1
    - First.
    """
)
RPM = {"sample.spec": SPEC, "Makefile": MAKEFILE, "notes.txt": "A sample.\n"}

POM = text(
    """
    <project xmlns="http://maven.apache.org/POM/4.0.0">
      <modelVersion>4.0.0</modelVersion>
      <groupId>org.example</groupId>
      <artifactId>sample</artifactId>
      <version>1.0</version>
      <properties>
        <maven.compiler.source>11</maven.compiler.source>
        <maven.compiler.target>11</maven.compiler.target>
        <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
      </properties>
      <dependencies>
        <dependency>
          <groupId>junit</groupId>
          <artifactId>junit</artifactId>
          <version>4.13.2</version>
          <scope>test</scope>
        </dependency>
      </dependencies>
    </project>
    """
)
BUILD_GRADLE = text(
    """
    plugins { id 'java' }
    repositories { mavenCentral() }
    dependencies { testImplementation 'junit:junit:4.13.2' }
    """
)
JAVA = """\
import org.junit.*;
public class SampleTest { @Test public void answer() throws Exception { %s } }
"""
JAVA_TESTS = {
    "good": JAVA % "Assert.assertEquals(42, 6 * 7);",
    "broken": JAVA % "Assert.assertEquals(41, 6 * 7);",
    "crash": JAVA
    % (
        'java.lang.reflect.Field field = Class.forName("sun.misc.Unsafe")'
        '.getDeclaredField("theUnsafe"); field.setAccessible(true); '
        "((sun.misc.Unsafe) field.get(null)).putInt(8L, 1);"
    ),
    "hang": JAVA % "Thread.sleep(600000);",
    "disk": JAVA
    % (
        'java.io.FileOutputStream file = new java.io.FileOutputStream("filled"); '
        "for (;;) file.write(new byte[65536]);"
    ),
}

KINDS = {
    "cargo": Kind(
        files={"Cargo.toml": '[package]\nname = "sample"\nversion = "1.0.0"\nedition = "2021"\n'},
        cases=cases(
            "src/lib.rs",
            {
                "good": rust("assert_eq!(answer(), 42);"),
                "broken": rust("assert_eq!(answer(), 41);"),
                "crash": rust("unsafe { (8 as *mut u8).write_volatile(1); }"),
                "hang": rust("std::thread::sleep(std::time::Duration::from_secs(600));"),
                "disk": rust(
                    'use std::io::Write; let mut file = std::fs::File::create("filled").unwrap(); '
                    "loop { file.write_all(&[1; 65536]).unwrap(); }"
                ),
                "tool": rust(""),
            },
            none={"src/lib.rs": RUST},
        ),
        tool="cargo",
        flavour="rust",
    ),
    "go": Kind(
        files={"go.mod": "module example.org/sample\n\ngo 1.19\n", "sample.go": "package sample\n"},
        cases=cases(
            "sample_test.go",
            {
                "good": GO % "",
                "broken": GO % 't.Error("41 is not 42")',
                "crash": GO % "syscall.Kill(syscall.Getpid(), syscall.SIGSEGV); select {}",
                "hang": GO % "time.Sleep(600 * time.Second)",
                "disk": GO
                % (
                    'file, _ := os.Create("filled"); block := make([]byte, 65536); '
                    "for { if _, err := file.Write(block); err != nil { t.Fatal(err) } }"
                ),
            },
            none={},
        ),
        tool="go",
        flavour="go",
    ),
    "npm": Kind(
        files={
            "package.json": '{"name": "sample", "version": "1.0.0", '
            '"scripts": {"test": "node --test"}}'
        },
        cases=cases(
            "test/sample.test.js",
            {
                "good": JAVASCRIPT % "",
                "broken": JAVASCRIPT % "assert.strictEqual(42, 41);",
                "crash": JAVASCRIPT % "process.kill(process.pid, 'SIGSEGV');",
                "hang": JAVASCRIPT
                % "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
                "disk": JAVASCRIPT
                % (
                    "const file = fs.openSync('filled', 'w'); const block = Buffer.alloc(65536);"
                    "for (;;) fs.writeSync(file, block);"
                ),
            },
            none={"package.json": '{"name": "sample", "version": "1.0.0"}'},
        ),
        tool="npm",
        flavour="node",
        said={"none": "no tests were run: package.json has no script 'test'"},
    ),
    "ruby": Kind(
        files={
            "sample.gemspec": "Gem::Specification.new do |s|\n"
            "  s.name = 'sample'; s.version = '1.0.0'; s.summary = 'A sample'\n"
            "  s.authors = ['A']; s.license = 'MIT'; s.homepage = 'https://example.org/'\n"
            "  s.description = 'A sample of a gem'; s.files = ['lib/sample.rb']\nend\n",
            "lib/sample.rb": "ANSWER = 42\n",
        },
        cases=cases(
            "test/test_sample.rb",
            {
                "good": RUBY % "assert_equal 42, ANSWER",
                "broken": RUBY % "assert_equal 41, ANSWER",
                "crash": RUBY % "Process.kill('SEGV', Process.pid); sleep 1",
                "hang": RUBY % "sleep 600",
                "disk": RUBY % "File.open('filled', 'w') { |f| loop { f.write('x' * 65536) } }",
            },
            none={},
        ),
        tool="ruby",
        flavour="ruby",
    ),
    "lua": Kind(
        files={
            "sample-1.0-1.rockspec": "rockspec_format = '3.0'\npackage = 'sample'\n"
            "version = '1.0-1'\nsource = { url = 'git+https://example.org/sample.git' }\n"
            "description = { summary = 'A sample', license = 'MIT' }\n"
            "build = { type = 'builtin', modules = { sample = 'sample.lua' } }\n",
            "sample.lua": "return { answer = 42 }\n",
        },
        cases=cases(
            "spec/sample_spec.lua",
            {
                "good": LUA % "assert.are.equal(42, require('sample').answer)",
                "broken": LUA % "assert.are.equal(41, require('sample').answer)",
                "crash": LUA % "os.execute('kill -SEGV $PPID')",
                "hang": LUA % "os.execute('sleep 600')",
                "disk": LUA
                % (
                    "local file = assert(io.open('filled', 'w')); file:setvbuf('no'); "
                    "while true do assert(file:write(('x'):rep(65536))) end"
                ),
            },
            none={},
        ),
        tool="luarocks",
        flavour="lua",
    ),
    "debian": Kind(
        files=DEBIAN,
        cases=cases("tests.c", C_TESTS, none={"Makefile": "all:\ninstall:\n"}),
        tool="dpkg-buildpackage",
        flavour="debian",
        counts=None,
        configuration="config.bbot.driver=debian",
        operation="update",
        seconds=20,
        said={"none": "no tests were run: the build runs none"},
    ),
    "rpm": Kind(
        files=RPM,
        cases=cases("tests.c", C_TESTS, none={"sample.spec": SPEC.replace("make check", "")}),
        tool="rpmbuild",
        flavour="rpm",
        counts=None,
        configuration="config.bbot.driver=rpm",
        operation="update",
        seconds=10,
        said={"none": "no tests were run: the build runs none"},
    ),
    "maven": Kind(
        files={"pom.xml": POM, "src/main/java/Sample.java": "public class Sample { }\n"},
        cases=cases("src/test/java/SampleTest.java", JAVA_TESTS, none={}),
        tool="mvn",
        flavour="java",
        said={"crash": "The forked VM terminated without properly saying goodbye"},
        seconds=30,
        dear=True,
    ),
    "gradle": Kind(
        files={"build.gradle": BUILD_GRADLE},
        cases=cases("src/test/java/SampleTest.java", JAVA_TESTS, none={}),
        tool="java",
        flavour="java",
        said={"crash": "finished with non-zero exit value 134"},
        seconds=30,
        dear=True,
    ),
}
