"""A session by libpq, as the environment says, and quoting: what the generators of tests share."""
import ctypes, ctypes.util, os

LIB = ctypes.CDLL(os.environ.get("LIBPQ") or ctypes.util.find_library("pq") or "libpq.so.5")
for name, res, args in [("PQconnectdb", "p", "s"), ("PQerrorMessage", "s", "p"), ("PQstatus", "i", "p"), ("PQexec", "p", "ps"),
		("PQresultStatus", "i", "p"), ("PQntuples", "i", "p"), ("PQnfields", "i", "p"), ("PQgetvalue", "s", "pii"), ("PQgetisnull", "i", "pii"),
		("PQresultErrorField", "s", "pi"), ("PQresultErrorMessage", "s", "p"), ("PQcmdStatus", "s", "p"), ("PQclear", "i", "p"),
		("PQputCopyData", "i", "psi"), ("PQputCopyEnd", "i", "ps"), ("PQgetResult", "p", "p"), ("PQfname", "s", "pi")]:
	kinds = {"p": ctypes.c_void_p, "s": ctypes.c_char_p, "i": ctypes.c_int}
	f = getattr(LIB, name)
	f.restype, f.argtypes = kinds[res], [kinds[a] for a in args]

QUIET = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda arg, message: None)
LIB.PQsetNoticeProcessor.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]


class Failed(Exception):
	"""An error of the server: .state is its SQLSTATE."""
	def __init__(self, state, message, sql):
		super().__init__(f"{state} {message}\n  {sql}")
		self.state, self.message = state, message


class Wrong(Exception):
	"""An invariant does not hold."""


class Session:
	def __init__(self, conninfo=""):
		self.c = LIB.PQconnectdb(conninfo.encode())
		LIB.PQsetNoticeProcessor(self.c, QUIET, None)
		if LIB.PQstatus(self.c):
			raise SystemExit(LIB.PQerrorMessage(self.c).decode())

	def run(self, sql, copy=None):
		"""Run one command string; (rows, tag)."""
		r = LIB.PQexec(self.c, sql.encode())
		if LIB.PQresultStatus(r) == 4:
			LIB.PQclear(r)
			data = copy.encode()
			LIB.PQputCopyData(self.c, data, len(data))
			LIB.PQputCopyEnd(self.c, None)
			r = LIB.PQgetResult(self.c)
			while LIB.PQgetResult(self.c):
				pass
		try:
			if LIB.PQresultStatus(r) not in (0, 1, 2):
				state = LIB.PQresultErrorField(r, ord("C"))
				raise Failed((state or b"08006").decode(), LIB.PQresultErrorMessage(r).decode().strip(), sql)
			rows = [tuple(None if LIB.PQgetisnull(r, i, j) else LIB.PQgetvalue(r, i, j).decode() for j in range(LIB.PQnfields(r)))
					for i in range(LIB.PQntuples(r))]
			return rows, LIB.PQcmdStatus(r).decode()
		finally:
			LIB.PQclear(r)

	def rows(self, sql):
		return self.run(sql)[0]


def ident(s):
	return '"' + s.replace('"', '""') + '"'


def lit(s):
	return "NULL" if s is None else (" E'" + s.replace("\\", "\\\\").replace("'", "''") + "'" if "\\" in s else "'" + s.replace("'", "''") + "'")
