"""Event stores of others on the same PostgreSQL, as they come: Emmett and Message DB, which npm installs.

Nothing of them belongs to the product, and nobody needs them; versions and digests are those of `package-lock.json` beside this file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg

from ledger.errors import ConfigurationError
from ops.bench.contract import Bench
from ops.bench.load import database_url

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "append.mjs")
NPM_CI = ("npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
WRITERS = 16
EVENT = '{"text": "' + "x" * 850 + '"}'


def _installed(bench: Bench) -> Path:
    """The folder in which they are installed, for the time of the run.

    Raises:
        ConfigurationError: there is no Node.js, or npm could not install them.
    """
    folder = bench.folder / "peers"
    if "peers" not in bench.kept:
        if not shutil.which("node") or not shutil.which("npm"):
            msg = "--peers needs node and npm in PATH (Debian: apt-get install nodejs npm)"
            raise ConfigurationError(msg)
        folder.mkdir(exist_ok=True)
        for name in FILES:
            shutil.copyfile(HERE / name, folder / name)
        done = subprocess.run(NPM_CI, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            msg = f"npm could not install the event stores of others: {done.stderr.strip()}"
            raise ConfigurationError(msg)
        bench.kept["peers"] = str(folder)
    return folder


def emmett(bench: Bench) -> float:
    """Events a second by 16 writers of one each, in one Node.js process as it is made for."""
    folder, url = _installed(bench), database_url(bench, "postgresql")
    command = ["node", "append.mjs", url, str(WRITERS), str(bench.scale.streams), str(bench.scale.seconds)]
    return float(subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout)


def message_db(bench: Bench) -> float:
    """Events a second by 16 clients of pgbench that call its function, which is as fast as a client can be."""
    folder, url = _installed(bench), database_url(bench, "postgresql")
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    login = {"PGHOST": bench.server.host, "PGUSER": "postgres", "PGDATABASE": name, "DATABASE_NAME": name}
    path = f"{bench.server.programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, **login, "CREATE_DATABASE": "off", "PATH": path}
    install = folder / "node_modules/@eventide/message-db/database/install.sh"
    subprocess.run(
        [shutil.which("bash") or "/bin/bash", str(install)], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    script = bench.folder / "message_db.sql"
    script.write_text(
        f"\\set number random(1, {bench.scale.streams})\n"
        f"SELECT write_message(gen_random_uuid()::varchar, 'delivery-' || :number, 'Told', '{EVENT}');\n"
    )
    environment["PGOPTIONS"] = "-c search_path=message_store,public"
    command = [f"{bench.server.programs}/pgbench", "-n", "-M", "prepared", "-c", str(WRITERS), "-j", "2"]
    seconds = str(max(1, round(bench.scale.seconds)))
    command += ["-T", seconds, "-f", str(script), name]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])  # type: ignore[index]  # pgbench says so always
